package relay

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"midstream/core/http1"
)

// taken is what requestReader makes of the octets when they come in pieces of these sizes: the heads as they are parsed, the octets of
// the contents between them, and the end.
func taken(octets, sizes []byte) (out []byte) {
	r := newRequestReader(inPieces(octets, sizes))
	for {
		piece, request, err := r.next(true)
		switch {
		case err != nil:
			// What has not been understood goes on as it is.
			rest, _ := io.ReadAll(r.from)
			out = append(append(out, r.have...), rest...)
			return fmt.Appendf(out, "\n%v", err)
		case request != nil:
			out = fmt.Appendf(out, "\n[%s %s %d]", request.Method, request.Target, len(request.Fields))
		}
		out = append(out, piece...)
	}
}

func TestRequestsAreTakenApart(t *testing.T) {
	wire := "GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" +
		"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\nHEAD /d HTTP/1.0\n\n"
	want := "\n[GET /a 1]GET /a HTTP/1.1\r\nHost: x\r\n\r\n\n[POST /b 1]POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" +
		"\n[PUT /c 1]PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n\n[HEAD /d 0]HEAD /d HTTP/1.0\n\n\nEOF"
	for _, sizes := range [][]byte{nil, {0}, {3, 11}} {
		if got := taken([]byte(wire), sizes); string(got) != want {
			t.Errorf("in pieces of %v: %q, want %q", sizes, got, want)
		}
	}
}

// Any split of the same octets is taken apart in the same way.
func FuzzRequestReader(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n\r\n"), []byte{0, 5})
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\nGET"), []byte{1})
	f.Add([]byte("PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nGET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), []byte{2})
	f.Fuzz(func(t *testing.T, octets, sizes []byte) {
		if whole, split := taken(octets, nil), taken(octets, sizes); !bytes.Equal(whole, split) {
			t.Errorf("%q\nat once:  %q\nin pieces: %q", octets, whole, split)
		}
	})
}

// A request whose server has closed the connection between two exchanges is sent again where that does no harm (RFC 9110 §9.2.2).
func TestWhichRequestsAreSentAgain(t *testing.T) {
	for head, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                       true,
		"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n":                      true,
		"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n": false,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n": false,
		"DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n":                   false,
	} {
		request, err := http1.ParseRequest([]byte(head))
		if err != nil {
			t.Fatal(err)
		}
		if got := repeatable(request); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}
