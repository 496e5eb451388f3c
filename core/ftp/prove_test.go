package ftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
)

// provedAt has the server prove that it has the file at that octet, and returns the connection that stands by then.
func provedAt(ctx context.Context, t *testing.T, s *server, at int64) (*dial.Conn, *Control, error) {
	t.Helper()
	s.greeting = "220 go"
	if s.file == nil {
		s.file = file
	}
	to := dialtest.Serve(t, s.serve)
	control, err := dial.Race(ctx, dial.Candidates(to), to, dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := login(ctx, control, transferOf("EPSV"), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	by := NewControl(still{}, netip.MustParseAddrPort("192.0.2.1:21"))
	beside := conn.Beside().(*session)
	beside.by = by
	conn, err = beside.Prove(ctx, conn, program(at))
	return conn, by, err
}

// restOf asks for the rest from there on, on a connection that stands by.
func restOf(ctx context.Context, conn *dial.Conn, at int64) ([]byte, error) {
	response, err := http1.ParseResponse([]byte("HTTP/1.0 200 OK\r\n\r\n"))
	if err != nil {
		return nil, err
	}
	var b budget.Budget
	h := &resume.HTTP{Exchange: &resume.Exchange{Response: response}, Receiver: program(at)}
	h.Permit = func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error) {
		return b.Permit(ctx, budget.PlaceOf(iface, conn), true, h.Received)
	}
	of := transferOf("EPSV")
	if beside, ok := conn.Beside().(*session); ok {
		of = beside.of
	}
	r, err := (&Rest{HTTP: h, Transfer: of}).Ask(ctx, conn, resume.Question{At: at, Overlap: resume.OverlapFull, Exact: true, Brings: true})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r.Content)
}

// What has been proved in advance costs 4 kB where it is needed, and no round trip more than else. Where little has been received, or the
// server knows no dates, it is proved then.
func TestProvedInAdvance(t *testing.T) {
	small := []string{"SIZE a", "MDTM a", fmt.Sprintf("REST %d", 200_000-resume.OverlapStrong), "RETR a"}
	full := []string{fmt.Sprintf("REST %d", 200_000-resume.OverlapFull), "RETR a"}
	for name, c := range map[string]struct {
		s    *server
		at   int64 // where it is proved
		asks []string
	}{
		"proved":                {&server{}, 150_000, small},
		"the break has a reply": {&server{then: map[string]string{"END": "426 broken off"}}, 150_000, small},
		"little received":       {&server{}, 16_383, full},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c.s.said = make(chan string, 100)
		conn, _, err := provedAt(ctx, t, c.s, c.at)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := restOf(ctx, conn, 200_000)
		if err != nil || !bytes.Equal(got, file[200_000:]) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
		conn.Close()
		close(c.s.said)
		var all []string
		for line := range c.s.said {
			all = append(all, line)
		}
		if len(all) < len(c.asks) || !slices.Equal(all[len(all)-len(c.asks):], c.asks) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// What the server shows in advance, or has instead by the time it is needed.
func TestWhatIsNotProvedInAdvance(t *testing.T) {
	changed := func(at int) []byte {
		other := bytes.Clone(file)
		other[at] ^= 1
		return other
	}
	for name, c := range map[string]struct {
		s   *server
		why reason.Code
	}{
		"other octets":                   {&server{file: changed(100_000)}, reason.OctetsDiffer},
		"other octets, later":            {&server{file: changed(199_000)}, reason.OctetsDiffer},
		"another length by then":         {&server{then: map[string]string{"SIZE": "213 300001"}}, reason.OtherTotal},
		"another date by then":           {&server{then: map[string]string{"MDTM": "213 20260301120000"}}, reason.OtherContent},
		"no date by then":                {&server{then: map[string]string{"MDTM": "550 no"}}, reason.OtherContent},
		"the file is gone by then":       {&server{then: map[string]string{"SIZE": "550 no"}}, reason.FTPReplied},
		"a word more than is waited for": {&server{then: map[string]string{"END": "426 broken\r\n226 off"}}, 0},
		"no data connection any more":    {&server{then: map[string]string{"EPSV": "425 no"}}, 0},
		"it says goodbye":                {&server{then: map[string]string{"END": "421 bye"}}, 0},
		"not to be read":                 {&server{replies: map[string]string{"RETR": "550 no"}}, 0},
		"it ends within the octets":      {&server{sends: 1000}, 0},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, by, err := provedAt(ctx, t, c.s, 150_000)
		if c.why == 0 {
			if err == nil || len(by.spared) != 1 {
				t.Errorf("%s: %v, %v", name, by.spared, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := restOf(ctx, conn, 200_000)
		conn.Close()
		var no *refusal.Refusal
		if len(got) > 0 || !errors.As(err, &no) || no.Why.Why != c.why {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
	}
}
