package http1

import (
	"strings"
	"testing"
)

func TestInterimResponsesAreEndedWithoutAWord(t *testing.T) {
	for _, c := range []struct{ begun, end string }{
		{"HTTP/1.1 1", "00 Continue\r\n\r\n"},
		{"HTTP/1.1 10", "0 Continue\r\n\r\n"},
		{"HTTP/1.1 103", " \r\n\r\n"},
		{"HTTP/1.1 103\r", "\n\r\n"},
		{"HTTP/1.1 103 Ear", "\r\n\r\n"},
		{"HTTP/1.1 103 Early Hints\r", "\n\r\n"},
		{"HTTP/1.1 103 Early Hints\r\n", "\r\n"},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r", "\n\r\n"},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", "\r\n"},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r", "\n"},
		{"HTTP/1.1 102 x\nA: b\n", "\r\n"},
		// Nobody knows how these go on, or they begin something else.
		{"HTTP/1.1 103 Early Hints\r\nLin", ""},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>", ""},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n ", ""},
		{"HTTP/1.1 ", ""}, {"", ""}, {"HTTP/1.1 2", ""}, {"HTTP/1.1 11", ""}, {"HTTP/1.1 101", ""}, {"HTTP/1.1 101 Switching\r\n", ""},
		{"HTTP/1.1 1\r", ""}, {"HTTP/1.1 10\n", ""}, {"HTTP/1.1 1x3 ", ""}, {"HTTP/1.1 1030", ""}, {"HTTP/2.0 103 ", ""}, {"HTTP/1.1 103 a\rb", ""},
	} {
		if end, ok := EndInterim([]byte(c.begun)); end != c.end || ok != (c.end != "") {
			t.Errorf("%q: %q, %v; want %q", c.begun, end, ok, c.end)
		}
	}
}

// Wherever an interim head breaks off: what ends it makes it one of the same status, whose fields are among those that were read.
func FuzzInterimResponsesEndWhereverTheyBreakOff(f *testing.F) {
	f.Add("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nLink: </other.css>\r\n\r\n")
	f.Add("HTTP/1.0 100\n\n")
	f.Add("HTTP/1.1 199 \r\nA:\r\n b\r\n\r\n")
	f.Fuzz(func(t *testing.T, head string) {
		whole, err := ParseResponse([]byte(head))
		if err != nil || !whole.Interim() {
			return
		}
		for i := range len(head) {
			end, ok := EndInterim([]byte(head[:i]))
			if !ok {
				continue
			}
			got, err := ParseResponse([]byte(head[:i] + end))
			if err != nil {
				// What was read may be malformed, which natively the program would see as well.
				if n := HeadEnd([]byte(head[:i] + end)); n != i+len(end) {
					t.Fatalf("%q + %q: the head ends at %d: %v", head[:i], end, n, err)
				}
				continue
			}
			if !got.Interim() || got.Status != whole.Status && !(got.Status == 100 && i < len("HTTP/1.1 100")) {
				t.Fatalf("%q + %q: status %d, want %d", head[:i], end, got.Status, whole.Status)
			}
			for j, field := range got.Fields {
				if j >= len(whole.Fields) || field.Name != whole.Fields[j].Name || !strings.HasPrefix(whole.Fields[j].Value, field.Value) {
					t.Fatalf("%q + %q: %v, want those of %v", head[:i], end, got.Fields, whole.Fields)
				}
			}
		}
	})
}
