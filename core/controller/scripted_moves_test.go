// Migrations, against a shim that carries hand-overs out or refuses them as the test says.
package controller

import (
	"strings"
	"testing"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/migration"
	"midstream/core/netif/nettest"
	"midstream/core/reason"
)

const etag = `"one"`

func TestMigrationsOfAScriptedShim(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	w := newWorld(t)
	film := content(8 << 20)
	wwan := w.networks[1]
	for name, test := range map[string]func(*testing.T, *scripted){
		"carried out":             func(t *testing.T, p *scripted) { testCarriedOut(t, p, film) },
		"while the program reads": func(t *testing.T, p *scripted) { testWhileItReads(t, p, film) },
		"refused":                 func(t *testing.T, p *scripted) { testRefused(t, p, film) },
		"moved on meanwhile":      func(t *testing.T, p *scripted) { testMovedOn(t, p, film) },
		"moves on for ever":       testMovesOnForEver,
		"not as far":              func(t *testing.T, p *scripted) { testNotAsFar(t, p, film) },
		"at the response's end":   func(t *testing.T, p *scripted) { testAtTheEnd(t, p, film) },
		"left alone":              testLeftAlone,
		"closed meanwhile":        testClosedMeanwhile,
		"an answer too late":      testTooLate,
		"other content": func(t *testing.T, p *scripted) {
			p.w.answers(file(film, etag), file(film[1:], `"two"`))
			testOtherContent(t, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.answers(file(film, etag))
			c := settings()
			c.Failover.Enabled = false // a program that is slow to read is no failure here
			p := newScripted(t, w, c)
			p.get()
			p.head()
			p.read(100_000)
			test(t, p)
			if n := len(wwan.requests()); n > migration.MaxAttempts+1 {
				t.Errorf("%d requests to the new server", n)
			}
		})
	}
	t.Run("skipped in vain", func(t *testing.T) { testSkippedInVain(t, w, film) })
	t.Run("relayed", func(t *testing.T) { testRelayed(t, w, film[:1<<20]) })
	t.Run("broken before it is made", func(t *testing.T) { testBrokenFirst(t, w, film) })
}

func testCarriedOut(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	o, h := p.armed()
	if h.What != channel.Socket || h.Place != channel.InContent || h.When != channel.Then || h.Former != channel.Reset || h.Until != 0 ||
		h.Sent != 1 || o.Exchange != 1 {
		t.Errorf("%+v", h)
	}
	p.read(h.At - int64(len(p.got)))
	p.carryOut(o, h)
	m := p.await(done)
	if m.error != nil || m.Offset != h.At || m.To.Interface != "wwan0" || m.From.Interface != "wlan0" || m.Delivery != control.DeliveryDirect {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	p.readAll(film)
	if asked := p.w.networks[1].requests(); len(asked) != 1 || rangeOf(asked[0]) > h.At || asked[0].Header.Get("If-Range") != etag {
		t.Errorf("%d requests: %v", len(asked), asked)
	}
	p.nothing()
}

// The offset is where the program will be, as it seems: it may be ahead of that, or behind, where the overlap is dropped.
func testWhileItReads(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	var o order
	for o.Kind == 0 {
		select {
		case o = <-p.come:
		default:
			if len(p.got) < len(film)/2 {
				p.read(1000)
			}
		}
	}
	h, err := channel.ParseHandover(o.Data)
	if err != nil || o.Kind != channel.Arm || h.At <= 100_000 {
		t.Fatalf("%+v %+v where the program has %d", o, h, len(p.got))
	}
	p.read(max(h.At-int64(len(p.got)), 0))
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	p.readAll(film)
}

// A refusal that says nothing of another try ends the migration, and the old connection goes on.
func testRefused(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.refuse(o, reason.CallStays)
	if m := p.await(done); m.error == nil || m.Error() != "a call of the program's on the descriptor does not return" {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	eventually(t, "the new connection is closed", func() bool { return p.w.networks[1].open.Load() == 0 })
	p.readAll(film)
	if n := len(p.w.networks[1].requests()); n != 1 {
		t.Errorf("%d requests to the new server", n)
	}
	p.nothing()
}

// The exchange has moved on when the shim would carry it out: the migration starts anew.
func testMovedOn(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.refuse(o, reason.Forked)
	again, h := p.armed()
	if again.Arming == o.Arming {
		t.Errorf("both armings are number %d", o.Arming)
	}
	p.read(h.At - int64(len(p.got)))
	p.carryOut(again, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	p.readAll(film)
}

func testMovesOnForEver(t *testing.T, p *scripted) {
	done := p.migrate("wwan0")
	for range migration.MaxAttempts {
		o, _ := p.armed()
		p.refuse(o, reason.Elsewhere)
	}
	if m := p.await(done); m.error == nil {
		t.Errorf("%+v", m.Migration)
	}
	p.nothing()
}

// The program does not get as far as the offset: what the old connection has not brought is asked for as well, at once.
func testNotAsFar(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.refuse(o, reason.NotAsFar)
	o, h := p.armed()
	if h.When != channel.Now || h.At > int64(len(p.got)) {
		t.Errorf("%+v where the program has %d", h, len(p.got))
	}
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	p.readAll(film)
}

// The program has read the response to its end before the shim could carry anything out: what moves is the idle connection.
func testAtTheEnd(t *testing.T, p *scripted, film []byte) {
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.readAll(film)
	p.refuse(o, reason.Over)
	o, h := p.armed()
	if h.Place != channel.AtEnd || h.When != channel.Now || h.What != channel.Socket {
		t.Errorf("%+v", h)
	}
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	if n := len(p.w.networks[1].requests()); n != 1 {
		t.Errorf("%d requests to the new server: an idle connection has none", n)
	}
}

func testLeftAlone(t *testing.T, p *scripted) {
	s := p.stream()
	p.tell(channel.Left, channel.Message{Data: reason.Reason{Why: reason.Duplicated}.Encode()})
	const why = "the connection has several descriptors"
	eventually(t, "the reason is listed", func() bool { return s.session().Why == why })
	if m := p.await(p.migrate("wwan0")); m.error == nil || m.Error() != why {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	p.nothing()
}

// The program closes its descriptor while the hand-over waits.
func testClosedMeanwhile(t *testing.T, p *scripted) {
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.tell(channel.Closed, channel.Message{})
	p.next(channel.Release)
	p.refuse(o, reason.Closed)
	if m := p.await(done); m.error == nil || !strings.Contains(m.Error(), "closed it") {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	eventually(t, "the new connection is closed", func() bool { return p.w.networks[1].open.Load() == 0 })
}

// Nothing comes of an arming: it is called off, in both ways, and what the shim then says decides.
func testTooLate(t *testing.T, p *scripted) {
	done := p.migrate("wwan0")
	o, h := p.armed()
	off := p.next(channel.Disarm)
	p.mu.Lock()
	if off.Arming != o.Arming || p.calledOff != o.Arming {
		t.Errorf("arming %d: number %d is called off, and by the counters up to %d", o.Arming, off.Arming, p.calledOff)
	}
	p.mu.Unlock()
	p.read(h.At - int64(len(p.got)))
	p.carryOut(o, h) // it was under way
	if m := p.await(done); m.error != nil || m.Offset != h.At {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
}

func testOtherContent(t *testing.T, p *scripted) {
	if m := p.await(p.migrate("wwan0")); m.error == nil || !strings.Contains(m.Error(), "octets") {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	p.nothing()
}

// A server that ignores Range is not read from the beginning again and again, because the exchange moves on each time.
func testSkippedInVain(t *testing.T, w *world, film []byte) {
	w.answers(file(film, etag), whole(film, etag))
	p := newScripted(t, w, settings())
	p.get()
	p.head()
	p.read(1_000_000)
	done := p.migrate("wwan0")
	o, _ := p.armed()
	p.refuse(o, reason.Forked)
	if m := p.await(done); m.error == nil || !strings.Contains(m.Error(), "skipped in vain") {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	if n := len(w.networks[1].requests()); n > 2 {
		t.Errorf("%d requests to the new server", n)
	}
	p.readAll(film)
}

// The new server sends chunks where the program reads a Content-Length: one end of a pair is put there, which the core feeds.
func testRelayed(t *testing.T, w *world, film []byte) {
	w.answers(file(film, etag), chunked(film, etag))
	p := newScripted(t, w, settings())
	p.get()
	p.head()
	p.read(100_000)
	done := p.migrate("wwan0")
	o, h := p.armed()
	if h.What != channel.Pair || h.Place != channel.InContent || h.When != channel.Then || h.Former != channel.Reset {
		t.Errorf("%+v", h)
	}
	p.read(h.At - int64(len(p.got)))
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil || m.Delivery != control.DeliveryRelayed {
		t.Errorf("%+v, %v", m.Migration, m.error)
	}
	p.readAll(film)
}

// Where both networks cannot be had at once, the old connection goes first: the program waits on a quiet pair meanwhile.
func testBrokenFirst(t *testing.T, w *world, film []byte) {
	w.answers(file(film, etag))
	c := settings()
	c.Migration.Single = true
	p := newScripted(t, w, c)
	p.get()
	p.head()
	p.read(100_000)
	done := p.migrate("wwan0")
	o, h := p.armed()
	if h.What != channel.Pair || h.When != channel.Now || h.Former != channel.Park || len(w.networks[1].requests()) > 0 {
		t.Errorf("%+v", h)
	}
	p.carryOut(o, h)
	o, h = p.armed()
	if h.What != channel.Socket || h.When != channel.Now || h.At > int64(len(p.got)) {
		t.Errorf("%+v where the program has %d", h, len(p.got))
	}
	p.carryOut(o, h)
	if m := p.await(done); m.error != nil {
		t.Error(m.error)
	}
	p.readAll(film)
}
