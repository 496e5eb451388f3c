// Package display makes texts of other processes, servers and files fit to be shown: nothing in them is obeyed by a terminal, turns
// the line around them, looks like another line, or buries it.
package display

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Longest is how many characters a text shown by Line may have; of a longer one the middle is left out.
const Longest = 2000

// Line returns the text for one line of a terminal, a table or a message. What is not to be seen as itself is shown as a
// question mark: control characters (C0, DEL, C1), what directs the writing (U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069)
// and other formats, private and unassigned characters, the two separators of lines and paragraphs, every blank but the
// ordinary one, and octets that are no UTF-8.
func Line(text string) string {
	if isPlain(text) {
		return text
	}
	return Shorten(strings.Map(func(r rune) rune {
		if !isShown(r) {
			return '?'
		}
		return r
	}, text), Longest)
}

// isPlain reports whether the text is short and of ASCII that is shown.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return len(text) <= Longest
}

func isShown(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

// Shorten leaves the middle out where the text has more than limit characters: the ends tell most of a URL.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	r := []rune(text)
	if len(r) <= limit {
		return text
	}
	head := limit / 2
	return string(r[:head]) + "…" + string(r[len(r)-(limit-head-1):])
}

// JSON returns the same JSON with whatever Line would not show written as an escape (RFC 8259 §7), and nothing shortened: it
// stays data. What is no UTF-8 becomes U+FFFD, as it is to every reader. Line ends, which part the texts, are kept.
func JSON(text []byte) []byte {
	from := 0
	var out []byte
	for i := 0; i < len(text); {
		if text[i] >= ' ' && text[i] < 0x7f || text[i] == '\n' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if isShown(r) {
			i += size
			continue
		}
		out = append(out, text[from:i]...)
		switch {
		case r == '\t' || r == '\r': // between the tokens: within a text they are escaped already
			out = append(out, ' ')
		case r > 0xffff:
			a, b := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, a, b)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
		from = i
	}
	if out == nil {
		return text
	}
	return append(out, text[from:]...)
}
