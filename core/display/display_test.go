package display

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineShowsNothingThatIsObeyed(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "Grüße, 世界 🙂": "Grüße, 世界 🙂", "": "",
		"\x1b[2J\x07\r\n\t": "?[2J????", "del\x7f": "del?", "c1\u009b31m\u0085": "c1?31m?", "\xff\xfe": "??",
		"a\u202egpj.exe\u202c": "a?gpj.exe?", "\u2066x\u2069\u200e\u200f\u061c": "?x????",
		"\u2028\u2029\u00a0\u3000\ufeff\u200b": "??????", "\U000e0041": "?", "\ue000": "?",
	} {
		if got := Line(in); got != want {
			t.Errorf("%q is shown as %q, not %q", in, got, want)
		}
	}
	long := Line(strings.Repeat("ä", 5000))
	if n := utf8.RuneCountInString(long); n != Longest || !strings.Contains(long, "…") {
		t.Errorf("%d characters", n)
	}
	if got := Shorten("abcdefghij", 5); got != "ab…ij" {
		t.Error(got)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("\x1b\x7f\u009b\u202e\U000e0041\ue000 ü")
	f.Add("\xff\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		var plain strings.Builder
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode([]string{text, "x"}); err != nil {
			t.Fatal(err)
		}
		safe := JSON([]byte("\t" + plain.String()))
		for _, r := range string(safe) {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q in %q", r, safe)
			}
		}
		var before, after []string
		json.Unmarshal([]byte(plain.String()), &before)
		if err := json.Unmarshal(safe, &after); err != nil || len(after) != 2 || after[0] != before[0] {
			t.Fatalf("%q, not %q: %v", after, before, err)
		}
		for _, r := range Line(text) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q in a line", r)
			}
		}
	})
}
