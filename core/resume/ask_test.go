package resume

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/refusal"
)

// content is what the servers of these tests have.
var content = func() []byte {
	b := make([]byte, 300<<10)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}()

// serve answers requests on every connection with what body says, and returns where.
func serve(t *testing.T, etag string, body []byte, ranges bool) netip.AddrPort {
	t.Helper()
	return dialtest.Serve(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			first, last := 0, len(body)-1
			if n, _ := fmt.Sscanf(request.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 0 || !ranges {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n", etag, len(body))
				conn.Write(body)
				continue
			}
			fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nETag: %s\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n",
				etag, first, last, len(body), last-first+1)
			conn.Write(body[first : last+1])
		}
	})
}

// program has received so many octets of the content.
type program int64

func (p program) Received() int64 { return int64(p) }
func (p program) Tail(end int64, limit int) []byte {
	return content[max(end-int64(limit), 0):end]
}
func (p program) Over() bool { return false }
func (p program) Digest() (int64, digest.Digest, bool) {
	d := digest.New([2]uint64{}, [2]uint64{1<<60 + 12345, 1<<59 + 67891})
	return int64(p), d.Add(content[:p]), true
}
func (p program) Complete([]byte) error { return nil }

// asks is an exchange of which the program has received so much.
func asks(t *testing.T, received int64, skip int64) *HTTP {
	t.Helper()
	request, err := http1.ParseRequest([]byte("GET /film HTTP/1.1\r\nHost: example.test\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http1.ParseResponse(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: %d\r\n\r\n", len(content)))
	if err != nil {
		t.Fatal(err)
	}
	e := &Exchange{Request: request, Response: response, Last: -1, Total: -1, Validators: response.Validators()}
	if e.Framing, err = response.Framing("GET"); err != nil {
		t.Fatal(err)
	}
	if why := e.Locate(); !why.None() {
		t.Fatal(why)
	}
	var b budget.Budget
	h := &HTTP{Exchange: e, Receiver: program(received), SkipLimit: skip, Captive: func(string) {}}
	h.Permit = func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error) {
		return b.Permit(ctx, budget.PlaceOf(iface, conn), true, h.Received)
	}
	return h
}

func (h *HTTP) question(at int64) Question {
	return Question{Request: h.Request, At: at, Overlap: h.Least(), Exact: true}
}

// read returns what is left of the rest.
func read(t *testing.T, r *Rest) []byte {
	t.Helper()
	var out bytes.Buffer
	if n, err := io.CopyN(&out, r.Content, r.Left); err != nil {
		t.Fatalf("after %d octets of %d: %v", n, r.Left, err)
	}
	return out.Bytes()
}

func TestTheRestBeginsWhereItWasAskedFor(t *testing.T) {
	for name, ranges := range map[string]bool{"a part": true, "all of it, skipped": false} {
		t.Run(name, func(t *testing.T) {
			h, conn := asks(t, 100_000, 1<<20), dialtest.Connect(t, serve(t, `"a"`, content, ranges))
			r, err := h.Ask(t.Context(), conn, h.question(100_000))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, r); r.At != 100_000 || r.Skipped == ranges || !bytes.Equal(got, content[100_000:]) {
				t.Errorf("at %d, skipped %t: %d octets", r.At, r.Skipped, len(got))
			}
		})
	}
}

// While the old connection goes on, less may be skipped, and little once that was in vain; where it has ended, there is no other way.
func TestASkipIsSparing(t *testing.T) {
	for _, c := range []struct {
		sound context.Context
		skips int64
		vain  bool
		why   string
	}{
		{t.Context(), 1 << 20, false, ""},
		{t.Context(), 50_000, false, "more than may be skipped"},
		{t.Context(), 1 << 20, true, ""},
		{t.Context(), 50_000, true, "in vain"},
		{nil, 0, true, ""},
	} {
		h, conn := asks(t, 100_000, 1<<20), dialtest.Connect(t, serve(t, `"a"`, content, false))
		q := h.question(100_000)
		q.Sound, q.Skips, q.Vain = c.sound, c.skips, c.vain
		r, err := h.Ask(t.Context(), conn, q)
		switch {
		case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || h.Skips() != 0):
			t.Errorf("%d: %v, %d skips", c.skips, err, h.Skips())
		case c.why == "" && (err != nil || h.Skips() != 1 || !bytes.Equal(read(t, r), content[100_000:])):
			t.Errorf("%d: %v, %d skips", c.skips, err, h.Skips())
		}
	}
}

func TestOtherContentIsRefused(t *testing.T) {
	other := bytes.Clone(content)
	other[99_999]++
	for name, c := range map[string]struct {
		etag   string
		body   []byte
		ranges bool
	}{
		"another length":      {`"a"`, content[:200_000], true},
		"another octet":       {`"a"`, other, true},
		"too much to be left": {`"a"`, content, false},
		"another validator":   {`"b"`, content, true},
	} {
		t.Run(name, func(t *testing.T) {
			h, conn := asks(t, 100_000, 10_000), dialtest.Connect(t, serve(t, c.etag, c.body, c.ranges))
			_, err := h.Ask(t.Context(), conn, h.question(100_000))
			var no *refusal.Refusal
			if !errors.As(err, &no) || !no.Server {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerThatSaysNothingIsNotWaitedFor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	h, conn := asks(t, 100_000, 0), dialtest.Connect(t, netip.MustParseAddrPort(listener.Addr().String()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var no *refusal.Refusal
	if _, err := h.Ask(ctx, conn, h.question(100_000)); !errors.As(err, &no) || !no.Passing || no.Ours {
		t.Errorf("%v", err)
	}
}

// Of another URL, an entity tag or a date proves nothing by itself: 64 kB are compared, and length and date have to be the same.
func TestAnotherURLIsProvedByItsContent(t *testing.T) {
	other := bytes.Clone(content)
	other[60_000]++
	const date = "\r\nLast-Modified: Fri, 01 Mar 2024 12:00:00 GMT"
	for name, c := range map[string]struct {
		own, their string
		body       []byte
		is         bool
	}{
		"the same":                   {`"a"` + date, `"a"` + date, content, true},
		"the same, another tag":      {`"a"` + date, `"b"` + date, content, true},
		"an equal tag, and no date":  {`"a"`, `"a"`, content, false},
		"another date":               {`"a"` + date, `"a"` + "\r\nLast-Modified: Fri, 01 Mar 2024 12:00:01 GMT", content, false},
		"another octet in the 64 kB": {`"a"` + date, `"a"` + date, other, false},
		"another length":             {`"a"` + date, `"a"` + date, content[:200_000], false},
	} {
		t.Run(name, func(t *testing.T) {
			h, conn := asks(t, 100_000, 1<<20), dialtest.Connect(t, serve(t, c.their, c.body, true))
			response, err := http1.ParseResponse(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Sat, 02 Mar 2024 12:00:00 GMT\r\nETag: %s\r\nContent-Length: %d\r\n\r\n", c.own, len(content)))
			if err != nil {
				t.Fatal(err)
			}
			h.Response, h.Validators = response, response.Validators()
			request, err := h.Request.Elsewhere("http://mirror.test/film")
			if err != nil {
				t.Fatal(err)
			}
			q := Question{Request: request, To: Destination{Form: http1.Form{Kind: http1.OriginForm}}, At: 100_000, Overlap: OverlapFull,
				Exact: true, Moved: true, Foreign: true}
			r, err := h.Ask(t.Context(), conn, q)
			if (err == nil) != c.is || c.is && (!r.Elsewhere || !bytes.Equal(read(t, r), content[100_000:])) {
				t.Errorf("%v", err)
			}
		})
	}
}
