package relay

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"midstream/core/http1"
	"midstream/core/internal/pieces"
)

// inPieces is a connection with these octets, in pieces of up to 256.
func inPieces(octets, sizes []byte) *pieces.Conn {
	c := &pieces.Conn{Octets: bytes.Clone(octets)}
	for _, size := range sizes {
		c.Sizes = append(c.Sizes, 1+int(size))
	}
	return c
}

// passed is what responseReader made of one response.
type passed struct {
	kind   http1.Kind
	open   bool
	end    bool // its end was the connection's
	octets string
}

// pass passes on all responses to requests with these methods.
func pass(octets string, methods []string, sizes []byte) (all []passed, left string) {
	from := inPieces([]byte(octets), sizes)
	reader := responseReader{conn: from}
	for _, method := range methods {
		to := &pieces.Conn{}
		if reader.wait() != nil {
			break
		}
		kind, open, err := reader.pass(to, method)
		all = append(all, passed{kind, open, err != nil, to.Written.String()})
		if err != nil || !open || kind == http1.Close || kind == http1.Tunnel {
			break
		}
	}
	return all, string(reader.have) + string(from.Octets)
}

var passedResponses = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n01234HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nany\x00thing",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\ncut off",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\nis passed on as it is",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345 is passed on as well",
	"HTTP/1.1 200 OK\r\nContent-Len",
	"no HTTP at all\r\n\r\nat all",
}

func TestResponsesArePassedOnUntouchedAndTakenApart(t *testing.T) {
	get := []string{"GET", "GET", "GET"}
	for i, want := range [][]passed{
		{{http1.Length, true, false, passedResponses[0][:43]}, {http1.None, true, false, "HTTP/1.1 204 No Content\r\n\r\n"}, {http1.None, true, false, passedResponses[0][70:]}},
		{{http1.Chunked, true, false, strings.TrimSuffix(passedResponses[1], "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz")},
			{http1.Length, true, false, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"}},
		{{http1.Close, true, false, passedResponses[2]}},
		{{http1.Length, true, false, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"}, {http1.Length, false, false, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"}},
		{{http1.Tunnel, true, false, passedResponses[4]}},
		{{http1.Chunked, true, true, passedResponses[5]}},
		{{http1.Chunked, true, false, passedResponses[6]}},
		{{http1.Tunnel, false, false, passedResponses[7]}},
		{{http1.None, false, true, passedResponses[8]}},
		{{http1.Tunnel, false, false, passedResponses[9]}},
	} {
		got, left := pass(passedResponses[i], get, nil)
		if len(got) != len(want) || left != "" {
			t.Errorf("%q: %+v, left %q", passedResponses[i], got, left)
			continue
		}
		for k := range want {
			if got[k] != want[k] {
				t.Errorf("%q: %+v instead of %+v", passedResponses[i], got[k], want[k])
			}
		}
	}
	if got, left := pass("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", []string{"HEAD", "GET"}, nil); len(got) != 2 || left != "" {
		t.Errorf("after HEAD: %+v, left %q", got, left)
	}
}

// lastWrite fails when it is written to.
type lastWrite struct{ net.Conn }

var errGone = errors.New("the program has gone")

func (lastWrite) Write([]byte) (int, error) { return 0, errGone }

func TestAProgramThatHasGoneIsNoFaultOfTheServers(t *testing.T) {
	for _, octets := range passedResponses {
		reader := responseReader{conn: inPieces([]byte(octets), nil)}
		if _, _, err := reader.pass(lastWrite{}, "GET"); err == nil || isEnd(err) != strings.HasSuffix(octets, "Content-Len") {
			t.Errorf("%q: %v", octets, err)
		}
	}
}

// Any split of the same octets gives the same result, and no octet is changed, lost or kept back.
func FuzzResponseReader(f *testing.F) {
	for _, octets := range passedResponses {
		f.Add(octets, []byte{0, 3, 1}, uint8(0))
		f.Add(octets, []byte{16}, uint8(1))
	}
	f.Fuzz(func(t *testing.T, octets string, sizes []byte, heads uint8) {
		methods := make([]string, 8)
		for i := range methods {
			methods[i] = "GET"
			if heads>>i&1 == 1 {
				methods[i] = "HEAD"
			}
		}
		whole, rest := pass(octets, methods, nil)
		split, restSplit := pass(octets, methods, sizes)
		if len(whole) != len(split) || rest != restSplit {
			t.Fatalf("whole: %+v, left %q; in pieces: %+v, left %q", whole, rest, split, restSplit)
		}
		all := ""
		for i := range whole {
			if whole[i] != split[i] {
				t.Fatalf("whole: %+v; in pieces: %+v", whole[i], split[i])
			}
			all += whole[i].octets
		}
		if all+rest != octets {
			t.Fatalf("%q became %q", octets, all+rest)
		}
	})
}
