package owner

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{"wget\x00-q\x00http://a/\x00", "", "\x00\x00", "a\xff", strings.Repeat("ä", 300)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if line := commandLine(b); !utf8.ValidString(line) || len(line) > 512 || strings.Contains(line, "\x00") {
			t.Fatalf("%q: %q", b, line)
		}
	})
}
