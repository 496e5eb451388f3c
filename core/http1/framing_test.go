package http1

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFraming(t *testing.T) {
	const http11, http10 = "HTTP/1.1 ", "HTTP/1.0 "
	for _, c := range []struct {
		method, head string
		want         Framing
	}{
		{"GET", http11 + "200\r\nContent-Length: 5", Framing{Kind: Length, Length: 5}},
		{"GET", http11 + "200\r\nContent-Length: 5, 5\r\nContent-Length: 5", Framing{Kind: Length, Length: 5}},
		{"GET", http11 + "205\r\nContent-Length: 0", Framing{Kind: Length}},
		{"GET", http11 + "200\r\nTransfer-Encoding: Chunked", Framing{Kind: Chunked}},
		{"GET", http11 + "200\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Framing{Kind: Chunked, Coded: true}},
		{"GET", http11 + "200\r\nTransfer-Encoding: gzip", Framing{Kind: Close, Coded: true}},
		{"GET", http11 + "200", Framing{Kind: Close}},
		{"GET", http10 + "200", Framing{Kind: Close}},
		{"HEAD", http11 + "200\r\nContent-Length: 5", Framing{Kind: None}},
		{"GET", http11 + "304\r\nContent-Length: 5", Framing{Kind: None}},
		{"GET", http11 + "204\r\nTransfer-Encoding: chunked", Framing{Kind: None}},
		{"GET", http11 + "103\r\nContent-Length: 5", Framing{Kind: None}},
		{"GET", http11 + "101", Framing{Kind: Tunnel}},
		{"CONNECT", http11 + "200\r\nContent-Length: 5", Framing{Kind: Tunnel}},
		{"CONNECT", http11 + "407\r\nContent-Length: 5", Framing{Kind: Length, Length: 5}},
	} {
		got, err := mustResponse(t, c.head).Framing(c.method)
		if got != c.want || err != nil {
			t.Errorf("%s %q: %+v %v", c.method, c.head, got, err)
		}
	}
	for _, head := range []string{
		http11 + "200\r\nContent-Length: 5\r\nContent-Length: 6",
		http11 + "200\r\nContent-Length: 5, 6",
		http11 + "200\r\nContent-Length: 5,",
		http11 + "200\r\nContent-Length:",
		http11 + "200\r\nContent-Length: -5",
		http11 + "200\r\nContent-Length: +5",
		http11 + "200\r\nContent-Length: 0x5",
		http11 + "200\r\nContent-Length: 9223372036854775808",
		http11 + "200\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
		http11 + "200\r\nTransfer-Encoding: chunked, gzip",
		http11 + "200\r\nTransfer-Encoding: chunked, chunked",
		http11 + "200\r\nTransfer-Encoding: chunked;q=1",
		http11 + "200\r\nTransfer-Encoding:",
		http11 + "200\r\nTransfer-Encoding: x y",
		http10 + "200\r\nTransfer-Encoding: chunked",
	} {
		if got, err := mustResponse(t, head).Framing("GET"); !errors.Is(err, ErrFraming) {
			t.Errorf("%q: %+v %v", head, got, err)
		}
	}
}

func TestBodyReaderEndsWhereTheFramingEnds(t *testing.T) {
	const chunks = "5\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n"
	for _, c := range []struct {
		name    string
		framing Framing
		wire    string
		want    string
		err     error
		surplus string
	}{
		{"none", Framing{Kind: None}, "next", "", nil, ""},
		{"length", Framing{Kind: Length, Length: 5}, "hellonext", "hello", nil, ""},
		{"length 0", Framing{Kind: Length}, "next", "", nil, ""},
		{"length cut", Framing{Kind: Length, Length: 6}, "hello", "hello", io.ErrUnexpectedEOF, ""},
		{"close", Framing{Kind: Close}, "hello", "hello", nil, ""},
		{"chunked", Framing{Kind: Chunked}, chunks + "next", "hello!", nil, "next"},
		{"chunked cut", Framing{Kind: Chunked}, chunks[:len(chunks)-1], "hello!", io.ErrUnexpectedEOF, ""},
		{"chunked cut in data", Framing{Kind: Chunked}, "5\r\nhel", "hel", io.ErrUnexpectedEOF, ""},
		{"chunked bad", Framing{Kind: Chunked}, "5\r\nhelloX", "hello", ErrMalformed, ""},
	} {
		readers := map[string]func(string) io.Reader{
			"at once":        func(s string) io.Reader { return strings.NewReader(s) },
			"octet by octet": func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) },
			"data with EOF":  func(s string) io.Reader { return iotest.DataErrReader(strings.NewReader(s)) },
		}
		for how, reader := range readers {
			body := NewBodyReader(reader(c.wire), c.framing)
			got, err := io.ReadAll(body)
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %q %v", c.name, how, got, err)
			}
			if how == "at once" && string(body.Surplus()) != c.surplus {
				t.Errorf("%s: surplus %q", c.name, body.Surplus())
			}
			if c.name == "chunked" && body.Trailers().Get("t") != "v" {
				t.Errorf("%s: trailers %q", how, body.Trailers())
			}
		}
	}
}

func TestBodyReaderDoesNotReadPastALength(t *testing.T) {
	r := strings.NewReader("hellonext")
	if _, err := io.ReadAll(NewBodyReader(r, Framing{Kind: Length, Length: 5})); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "next" {
		t.Errorf("left %q", rest)
	}
}

func TestBodyReaderPassesOtherErrorsOn(t *testing.T) {
	for _, kind := range []Kind{Length, Chunked, Close} {
		r := io.MultiReader(strings.NewReader("5\r\nhel"), iotest.ErrReader(io.ErrClosedPipe))
		body := NewBodyReader(r, Framing{Kind: kind, Length: 50})
		for range 2 {
			if _, err := io.ReadAll(body); err != io.ErrClosedPipe {
				t.Errorf("%v: %v", kind, err)
			}
		}
	}
}
