package resume

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/live"
	"midstream/core/refusal"
)

// speak has everyone who asks answered with these octets, after which the connection stays open until the test ends; an empty answer ends it.
func speak(t *testing.T, answers ...string) netip.AddrPort {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return dialtest.Serve(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		for _, a := range answers {
			if a == "" {
				return
			}
			conn.Write([]byte(a))
		}
		<-ctx.Done()
	})
}

// listens is a program that has been handed so much of a station's sound.
func listens(t *testing.T, head string, received int64) *Live {
	t.Helper()
	request, err := http1.ParseRequest([]byte("GET /live HTTP/1.1\r\nHost: example.test\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http1.ParseResponse([]byte(head))
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := live.Of(request, response)
	if !ok {
		t.Fatal("no such stream")
	}
	e := &Exchange{Request: request, Response: response, Last: -1, Total: -1}
	if e.Framing, err = response.Framing("GET"); err != nil {
		t.Fatal(err)
	}
	var b budget.Budget
	h := &HTTP{Exchange: e, Receiver: program(received), Captive: func(string) {}}
	h.Permit = func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error) {
		return b.Permit(ctx, budget.PlaceOf(iface, conn), true, h.Received)
	}
	return &Live{HTTP: h, Stream: stream, Stands: func() live.Program {
		return live.Program{Track: live.NewTrack(stream.Every), Tail: program(received).Tail}
	}}
}

const (
	station = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: x\r\n\r\n"
	chunks  = "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: x\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func chunk(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }

// However either server frames it, the program is handed the octet after the last one.
func TestAStreamGoesOnBehindItsOverlap(t *testing.T) {
	burst := content[60_000:130_000]
	for name, c := range map[string]struct {
		program string
		server  []string
		ends    error
	}{
		"without a length":          {station, []string{station, string(burst), ""}, nil},
		"chunks for none":           {station, []string{chunks, chunk(burst[:5]), chunk(burst[5:]), "0\r\n\r\n", ""}, nil},
		"chunks that break off":     {station, []string{chunks, chunk(burst), ""}, io.ErrUnexpectedEOF},
		"none for chunks":           {chunks, []string{station, string(burst), ""}, io.ErrUnexpectedEOF},
		"chunks for chunks":         {chunks, []string{chunks, chunk(burst), "0\r\n\r\n", ""}, nil},
		"more than the window long": {station, []string{station, string(content[:130_000]), ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := listens(t, c.program, 100_000)
			conn := dialtest.Connect(t, speak(t, c.server...))
			r, err := l.Ask(t.Context(), conn, Question{Request: l.Request, At: 100_000})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Stands(101_000); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(r.Content)
			if !bytes.Equal(rest, content[101_000:130_000]) || !errors.Is(err, c.ends) || err != nil && c.ends == nil {
				t.Errorf("%d octets, %v", len(rest), err)
			}
		})
	}
}

func TestWhatIsNoContinuationOfAStream(t *testing.T) {
	for name, c := range map[string]struct {
		server []string
		gone   bool
	}{
		"no such mount":           {[]string{"HTTP/1.0 404 Not Found\r\n\r\n", ""}, false},
		"another type":            {[]string{"HTTP/1.0 200 OK\r\nContent-Type: audio/aac\r\nicy-name: x\r\n\r\n", string(content)}, false},
		"a file":                  {[]string{"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 300000\r\n\r\n", string(content)}, false},
		"nothing":                 {[]string{station}, true},
		"too late":                {[]string{station, string(content[110_000:])}, true},
		"too late, and little":    {[]string{station, string(content[110_000:115_000])}, true},
		"it ends before it comes": {[]string{station, string(content[60_000:70_000]), ""}, false},
		"a chunk that is none":    {[]string{chunks, chunk(content[60_000:70_000]), "x\r\n", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listens(t, station, 100_000)
			conn := dialtest.Connect(t, speak(t, c.server...))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := l.Ask(ctx, conn, Question{Request: l.Request, At: 100_000})
			var no *refusal.Refusal
			if !errors.As(err, &no) || no.Gone != c.gone {
				t.Errorf("%v, gone: %t", err, no != nil && no.Gone)
			}
		})
	}
}

// A listener whose connection has ended amid a title of which the new server has other words is refused before anything is done to it.
func TestAListenerInATitle(t *testing.T) {
	titled := "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: x\r\nicy-metaint: 8000\r\n\r\n"
	var had []byte
	for at := 0; at < 160_000; at += 8000 {
		had = append(append(had, content[at:at+8000]...), append([]byte{1}, "StreamTitle='a';"...)...)
	}
	for name, title := range map[string]string{"the same words": "a", "other words": "b"} {
		l := listens(t, titled, 0)
		const stands = 15*8017 + 8000 + 15
		l.Receiver = handed{had, stands}
		l.Stands = func() live.Program {
			track := live.NewTrack(8000)
			track.Feed(had[:stands-100], stands-100)
			track.Feed(had[:stands], stands)
			return live.Program{Track: track, Tail: handed{had, stands}.Tail}
		}
		var theirs []byte
		for at := 90_000; at < 200_000; at += 8000 {
			theirs = append(append(theirs, content[at:at+8000]...), append([]byte{1}, "StreamTitle='"+title+"';"...)...)
		}
		for _, ended := range []bool{true, false} {
			conn := dialtest.Connect(t, speak(t, titled, string(theirs[:len(theirs)-100])))
			r, err := l.Ask(t.Context(), conn, Question{Request: l.Request, At: stands, Brings: ended, Ended: ended})
			if err != nil {
				t.Fatal(err)
			}
			at, there, err := r.Meets(stands)
			var no *refusal.Refusal
			if refused := errors.As(err, &no); refused != (ended && title == "b") || !refused && (there == ended || at != stands && at != stands+2) {
				t.Errorf("%s, ended %t: %d, %t, %v", name, ended, at, there, err)
			}
		}
	}
}

// handed is a program that has been handed so many of the octets.
type handed struct {
	octets []byte
	at     int64
}

func (h handed) Received() int64 { return h.at }
func (h handed) Tail(end int64, limit int) []byte {
	return h.octets[max(end-int64(min(limit, live.Window)), 0):end]
}
func (h handed) Over() bool                         { return false }
func (handed) Digest() (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }
func (h handed) Complete([]byte) error              { return nil }

// Whoever does not want it any more is not kept waiting.
func TestASearchIsCalledOff(t *testing.T) {
	l := listens(t, station, 100_000)
	conn := dialtest.Connect(t, speak(t, station, string(content[60_000:70_000])))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := l.Ask(ctx, conn, Question{Request: l.Request, At: 100_000})
	var no *refusal.Refusal
	if !errors.As(err, &no) || !no.Ours {
		t.Errorf("%v", err)
	}
}
