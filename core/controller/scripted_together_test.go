// Several networks feed one download together, against a scripted shim.
package controller

import (
	"net/http"
	"testing"
	"time"

	"midstream/core/channel"
	"midstream/core/netif/nettest"
)

// gathered is a program amid a download, and what a person says: on or off. What comes of that comes.
func gathered(t *testing.T, w *world) (p *scripted, say func(on bool) <-chan error) {
	p = newScripted(t, w, settings())
	p.get()
	p.head()
	p.read(100_000)
	s := p.stream()
	eventually(t, "the response's head is known", func() bool { return s.session().Length != nil })
	return p, func(on bool) <-chan error {
		done := make(chan error, 1)
		go func() { done <- s.feeding.Wish(t.Context(), on) }()
		return done
	}
}

// paced answers as another handler does, no faster than networks are: what is asked ahead is a matter of the rate.
func paced(by http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { by(slowWriter{w}, r) }
}

type slowWriter struct{ http.ResponseWriter }

func (w slowWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Millisecond) // for each 32 kB
	return w.ResponseWriter.Write(b)
}

// held answers as another handler does, once it is let go.
func held(by http.HandlerFunc) (handler http.HandlerFunc, letGo func()) {
	gate := make(chan bool)
	return func(w http.ResponseWriter, r *http.Request) { <-gate; by(w, r) }, func() { close(gate) }
}

func TestTogetherOfAScriptedShim(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	w := newWorld(t)
	film, long := content(8<<20), content(24<<20)
	asked := func(t *testing.T, requests int) {
		eventually(t, "both servers have been asked", func() bool {
			return len(w.networks[0].requests()) >= requests && len(w.networks[1].requests()) > 0
		})
	}

	t.Run("carried out", func(t *testing.T) {
		w.answers(file(film, etag))
		p, say := gathered(t, w)
		done := say(true)
		o, h := p.armed()
		if h.What != channel.Pair || h.When != channel.Then {
			t.Errorf("%+v", h)
		}
		p.read(max(h.At-int64(len(p.got)), 0))
		p.carryOut(o, h)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.readAll(film)
		asked(t, 2)
	})

	t.Run("left to one", func(t *testing.T) {
		w.answers(paced(file(long, etag)))
		p, say := gathered(t, w)
		done := say(true)
		o, h := p.armed()
		p.read(max(h.At-int64(len(p.got)), 0))
		p.carryOut(o, h)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.read(1 << 20)
		done = say(false)
		eventually(t, "the connection is to take the relay's place", func() bool {
			p.readSome()
			return len(p.come) > 0
		}) // the relay waits until the program has read what came before
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		o, h = p.armed()
		if h.What != channel.Socket || h.Until == 0 {
			t.Fatalf("%+v", h)
		}
		p.read(h.At - int64(len(p.got)))
		p.carryOut(o, h)
		p.read(h.Until - int64(len(p.got)))
		o, h = p.armed()
		p.carryOut(o, h)
		p.readAll(long)
	})

	t.Run("called off meanwhile", func(t *testing.T) {
		slow, letGo := held(file(film, etag))
		w.answers(inTurn(file(film, etag), slow), slow)
		p, say := gathered(t, w)
		done := say(true)
		asked(t, 2)
		if err := <-say(false); err != nil {
			t.Error(err)
		}
		letGo()
		if err := <-done; err == nil || err.Error() != "a person has said so" {
			t.Error(err)
		}
		p.nothing()
		p.readAll(film)
	})

	t.Run("asked for twice", func(t *testing.T) {
		slow, letGo := held(file(film, etag))
		w.answers(inTurn(file(film, etag), slow), slow)
		p, say := gathered(t, w)
		one, two := say(true), say(true)
		asked(t, 2)
		letGo()
		o, h := p.armed()
		p.read(max(h.At-int64(len(p.got)), 0))
		p.carryOut(o, h)
		for _, done := range []<-chan error{one, two} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		p.readAll(film)
		p.nothing()
	})

	t.Run("where one refuses", func(t *testing.T) {
		w.answers(file(film, etag), refuses(http.StatusForbidden))
		p, say := gathered(t, w)
		done := say(true)
		o, h := p.armed()
		p.read(max(h.At-int64(len(p.got)), 0))
		p.carryOut(o, h)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.readAll(film)
		// On a busy machine the download may last until the server is asked again.
		if n := len(w.networks[1].requests()); n < 1 || n > 2 {
			t.Errorf("%d requests to a server that refuses", n)
		}
	})
}
