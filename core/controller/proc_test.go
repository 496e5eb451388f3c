package controller

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzSocketInode(f *testing.F) {
	for _, seed := range []string{"socket:[4711]", "socket:[", "socket:[]", "socket:[1", "socket:[-1]", "/dev/null", "anon_inode:[eventfd]", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		inode, is := socketInode(target)
		if again, whole := socketInode("socket:[" + strconv.FormatUint(inode, 10) + "]"); is && (!whole || again != inode) {
			t.Fatalf("%q: %d", target, inode)
		}
		if is && !strings.HasPrefix(target, "socket:[") {
			t.Fatalf("%q counts as a socket", target)
		}
	})
}

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
