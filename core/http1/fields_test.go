package http1

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestHeadEndFindsTheEmptyLineHoweverLinesEnd(t *testing.T) {
	for head, want := range map[string]int{
		"":                              -1,
		"GET / HTTP/1.1\r\n":            -1,
		"GET / HTTP/1.1\r\n\r":          -1,
		"GET / HTTP/1.1\r\n\r\n":        18,
		"GET / HTTP/1.1\n\n":            16,
		"GET / HTTP/1.1\r\n\n":          17,
		"GET / HTTP/1.1\n\r\nrest\r\n":  17,
		"A\r\nB: c\r\n \r\n\r\nD\r\n\r": 14,
	} {
		if got := HeadEnd([]byte(head)); got != want {
			t.Errorf("HeadEnd(%q) = %d, want %d", head, got, want)
		}
		for seen := 0; seen <= len(head); seen++ {
			if HeadEnd([]byte(head[:seen])) >= 0 {
				break
			}
			if got := HeadEndAfter([]byte(head), seen); got != want {
				t.Errorf("HeadEndAfter(%q, %d) = %d, want %d", head, seen, got, want)
			}
		}
	}
}

func TestFieldsKeepOrderCaseAndOctets(t *testing.T) {
	r, err := ParseRequest([]byte("GET / HTTP/1.1\r\nhOsT:h\r\nX-A: \t1 \r\nx-a:2\n" +
		"Fold: a\r\n \t b \r\n\tc\r\nBytes: \xff\xfe\r\nEmpty:\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Fields{
		{"hOsT", "h", "hOsT:h\r\n"},
		{"X-A", "1", "X-A: \t1 \r\n"},
		{"x-a", "2", "x-a:2\n"},
		{"Fold", "a b c", "Fold: a\r\n \t b \r\n\tc\r\n"},
		{"Bytes", "\xff\xfe", "Bytes: \xff\xfe\r\n"},
		{"Empty", "", "Empty:\r\n"},
	}
	if !reflect.DeepEqual(r.Fields, want) {
		t.Errorf("fields %q\nwant   %q", r.Fields, want)
	}
	if got := r.Get("X-a"); got != "1, 2" {
		t.Errorf("Get joins to %q", got)
	}
	if !r.Has("EMPTY") || r.Has("None") || r.Values("none") != nil || r.Get("none") != "" {
		t.Error("presence is wrong")
	}
}

func TestHeadsThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	big := "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", MaxHead) + "\r\n\r\n"
	many := "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", MaxFields+1) + "\r\n"
	for _, c := range []struct {
		name, head string
		want       error
	}{
		{"no empty line", "GET / HTTP/1.1\r\nA: b\r\n", ErrIncomplete},
		{"nothing", "", ErrIncomplete},
		{"only an empty line", "\r\n", ErrIncomplete},
		{"empty start line", "\r\n\r\n", ErrMalformed},
		{"octets after the head", "GET / HTTP/1.1\r\n\r\nx", ErrMalformed},
		{"space before colon", "GET / HTTP/1.1\r\nA : b\r\n\r\n", ErrMalformed},
		{"empty name", "GET / HTTP/1.1\r\n: b\r\n\r\n", ErrMalformed},
		{"no colon", "GET / HTTP/1.1\r\nab\r\n\r\n", ErrMalformed},
		{"fold before any field", "GET / HTTP/1.1\r\n A: b\r\n\r\n", ErrMalformed},
		{"bare CR in value", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", ErrMalformed},
		{"bare CR in fold", "GET / HTTP/1.1\r\nA: b\r\n c\rd\r\n\r\n", ErrMalformed},
		{"NUL", "GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", ErrMalformed},
		{"bare CR in request line", "GET /\r HTTP/1.1\r\n\r\n", ErrMalformed},
		{"two spaces", "GET  / HTTP/1.1\r\n\r\n", ErrMalformed},
		{"space in target", "GET /a b HTTP/1.1\r\n\r\n", ErrMalformed},
		{"HTTP/0.9", "GET /\r\n\r\n", ErrMalformed},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", ErrMalformed},
		{"lower case version", "GET / http/1.1\r\n\r\n", ErrMalformed},
		{"too long", big, ErrTooLarge},
		{"too many fields", many, ErrTooLarge},
	} {
		if _, err := ParseRequest([]byte(c.head)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestErrorsDoNotQuoteSecrets(t *testing.T) {
	_, err := ParseRequest([]byte("GET / HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\x00\r\n\r\n"))
	if err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("error %v", err)
	}
}

func TestHasTokenLooksIntoLists(t *testing.T) {
	fs := Fields{{Name: "Connection", Value: "TE, Close"}, {Name: "connection", Value: "x"}}
	for token, want := range map[string]bool{"close": true, "te": true, "X": true, "clos": false} {
		if fs.HasToken("Connection", token) != want {
			t.Errorf("HasToken(%q) is not %v", token, want)
		}
	}
}
