// Recoveries, against a shim that holds the program as the test says.
package controller

import (
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/netif/nettest"
	"midstream/core/reason"
	"midstream/core/recovery"
)

func TestFailuresOfAScriptedShim(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	w := newWorld(t)
	film := content(4 << 20)
	for name, test := range map[string]struct {
		servers []http.HandlerFunc // of the answers after the first, which the film's server gives
		set     func(*config.Config)
		run     func(*testing.T, *scripted)
	}{
		"recovered": {servers: []http.HandlerFunc{file(film, etag)}, run: func(t *testing.T, p *scripted) { testRecovered(t, p, film) }},
		"the second of two candidates": {servers: []http.HandlerFunc{file(film[1:], `"two"`), file(film, etag)},
			run: func(t *testing.T, p *scripted) { testRecovered(t, p, film) }},
		"nothing helps": {servers: []http.HandlerFunc{file(film[1:], `"two"`)}, run: testGivenUp},
		"servers that fail": {servers: []http.HandlerFunc{refuses(http.StatusServiceUnavailable)},
			set: func(c *config.Config) { c.Failover.Patience = 3 * time.Second }, run: testGivenUp},
		"not parked": {servers: []http.HandlerFunc{file(film, etag)}, run: func(t *testing.T, p *scripted) { testNotParked(t, p, film) }},
		"a standby": {servers: []http.HandlerFunc{refuses(http.StatusServiceUnavailable), file(film, etag)},
			set: func(c *config.Config) { c.Failover.Standby = config.StandbyAlways },
			run: func(t *testing.T, p *scripted) { testStandby(t, p, film) }},
		"switched off": {servers: []http.HandlerFunc{file(film, etag)}, set: func(c *config.Config) { c.Failover.Enabled = false }, run: testSwitchedOff},
	} {
		t.Run(name, func(t *testing.T) {
			w.answers(file(film, etag))
			c := settings()
			if test.set != nil {
				test.set(c)
			}
			p := newScripted(t, w, c)
			p.get()
			p.head()
			p.read(100_000)
			w.answers(test.servers...)
			test.run(t, p)
			if n := len(w.networks[0].requests()) + len(w.networks[1].requests()); n > budget.Size {
				t.Errorf("%d requests for one exchange", n)
			}
		})
	}
	t.Run("idle on a path that was lost before", func(t *testing.T) { testIdleOnALostPath(t, w) })
	t.Run("before the answer", func(t *testing.T) { testBeforeTheAnswer(t, w, film) })
	t.Run("an unanswered request", func(t *testing.T) { testUnanswered(t, w, film) })
}

// parked has the program wait on a quiet pair, as a recovery begins.
func (p *scripted) parked() {
	p.t.Helper()
	o, h := p.armed()
	if h.What != channel.Pair || h.When != channel.Now || h.Former != channel.Keep || !h.Anywhere {
		p.t.Fatalf("%+v", h)
	}
	p.carryOut(o, h)
}

func testRecovered(t *testing.T, p *scripted, film []byte) {
	p.fail(syscall.ECONNRESET)
	p.parked()
	o, h := p.armed()
	if h.What != channel.Socket || h.Place != channel.InContent || h.When != channel.Now || h.Former != channel.Reset || h.At > int64(len(p.got)) {
		t.Errorf("%+v where the program has %d", h, len(p.got))
	}
	p.carryOut(o, h)
	p.readAll(film)
	s := p.stream()
	eventually(t, "the migration is listed", func() bool { return len(s.session().Migrations) == 1 })
	if m := s.session().Migrations[0]; m.Trigger != recovery.Ended || m.Offset != 100_000 {
		t.Errorf("%+v", m)
	}
	p.nothing()
}

// Nobody continues it: the program sees the error that it would have seen, once.
func testGivenUp(t *testing.T, p *scripted) {
	p.fail(syscall.ECONNRESET)
	p.parked()
	if o := p.next(channel.GiveUp); syscall.Errno(o.A) != syscall.ECONNRESET {
		t.Errorf("the program is told %v", syscall.Errno(o.A))
	}
	p.tell(channel.Moved, channel.Message{A: int64(len(p.got)), Data: p.position().Encode()}) // of no exchange: it is put back
	p.nothing()
}

// The quiet pair cannot be put there: the program waits at the gate, and is served all the same.
func testNotParked(t *testing.T, p *scripted, film []byte) {
	p.fail(0)
	o, h := p.armed()
	if h.Former != channel.Keep {
		t.Fatalf("%+v", h)
	}
	p.refuse(o, reason.NoDescriptor)
	o, h = p.armed()
	p.carryOut(o, h)
	p.readAll(film)
}

// The connection that stands by is asked first, and at once.
func testStandby(t *testing.T, p *scripted, film []byte) {
	wwan := p.w.networks[1]
	p.read(1 << 20)
	s := p.stream()
	eventually(t, "a connection stands by", func() bool {
		p.read(100) // it is no silent one
		return s.standby.Stands()
	})
	if n := len(wwan.requests()); n != 0 {
		t.Errorf("%d requests on a connection that stands by", n)
	}
	p.fail(syscall.ECONNRESET)
	p.parked()
	o, h := p.armed()
	p.carryOut(o, h)
	if n := len(p.w.networks[0].requests()); n != 0 {
		t.Errorf("the server that has failed was asked %d times", n)
	}
	p.readAll(film)
}

func testSwitchedOff(t *testing.T, p *scripted) {
	p.fail(syscall.ECONNRESET)
	if o := p.next(channel.GiveUp); syscall.Errno(o.A) != syscall.ECONNRESET {
		t.Errorf("the program is told %v", syscall.Errno(o.A))
	}
	p.nothing()
}

// The connection ends before an octet of the answer: the request is sent again, once, and its answer handed over whole.
func testBeforeTheAnswer(t *testing.T, w *world, film []byte) {
	silent := make(chan struct{})
	w.answers(inTurn(func(http.ResponseWriter, *http.Request) { <-silent }, file(film, etag)), file(film, etag))
	defer close(silent)
	p := newScripted(t, w, settings())
	p.get()
	eventually(t, "the server has been asked", func() bool { return len(w.networks[0].requests()) == 1 })
	p.stream()
	p.fail(0)
	o, h := p.armed()
	if h.What != channel.Pair || h.Place != channel.InHead || h.Former != channel.Keep {
		t.Errorf("%+v", h)
	}
	p.carryOut(o, h)
	o, h = p.armed()
	if h.What != channel.Socket || h.Place != channel.InHead || h.At != 0 || h.When != channel.Now || h.Anywhere {
		t.Errorf("%+v", h)
	}
	p.carryOut(o, h)
	p.head()
	p.readAll(film)
	if n := len(w.networks[0].requests()) + len(w.networks[1].requests()); n != 2 {
		t.Errorf("the request has been sent %d times", n)
	}
}

// A request that waits for its answer, on a connection that is there, is not sent a second time: a migration waits.
func testUnanswered(t *testing.T, w *world, film []byte) {
	thinks := make(chan struct{})
	w.answers(func(r http.ResponseWriter, q *http.Request) {
		<-thinks
		file(film, etag)(r, q)
	}, file(film, etag))
	p := newScripted(t, w, settings())
	p.get()
	done := p.migrate("wwan0")
	eventually(t, "the server has been asked", func() bool { return len(w.networks[0].requests()) == 1 })
	time.Sleep(50 * time.Millisecond) // nothing announces what is not done
	p.nothing()
	if n := len(w.networks[1].requests()); n != 0 {
		t.Errorf("it has been sent again %d times", n)
	}
	close(thinks)
	p.head()
	p.read(1000)
	o, h := p.armed()
	p.read(h.At - int64(len(p.got)))
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	p.readAll(film)
}

// The path is lost while the response is still the stream's, which is told of that loss alone, and has come to its end before anything
// was done about it.
func testIdleOnALostPath(t *testing.T, w *world) {
	short := content(100_000)
	w.answers(file(short, etag))
	p := newScripted(t, w, settings())
	p.get()
	p.head()
	eventually(t, "both networks may be used", func() bool { return len(p.stream().Order()) == 2 })
	lost := *p.c.networks.State()
	lost.Interfaces = slices.Clone(lost.Interfaces)
	for i := range lost.Interfaces {
		if lost.Interfaces[i].Name == "wlan0" {
			lost.Interfaces[i].Carrier = false
		}
	}
	p.read(int64(len(short) - len(p.got)))
	p.c.networks.Use(&lost)
	p.readAll(short)
	o := p.next(channel.Arm)
	p.refuse(o, reason.Closed)
}
