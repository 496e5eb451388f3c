// Exchanges whose response is a stream without a length, as those of radio stations (package live): what the program has been handed is
// followed, so that it is known where it stands between titles.
package exchange

import (
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/live"
)

// Live is what is known of such a response. Safe for concurrent use.
type Live struct {
	live.Stream
	tail func(end int64, limit int) []byte

	mu    sync.Mutex
	track *live.Track
	first []byte // the sound that it has begun with
}

// Live returns nil where the response is no such stream, or has not come.
func (e *Exchange) Live() *Live {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live
}

// liveStream is Live, of a response whose head is complete. Over TLS it is none where the program's session cannot be fed: what a new
// connection has brought beyond the place could not be given back.
func (e *Exchange) liveStream() *Live {
	stream, ok := live.Of(e.Request, e.Response)
	if !ok || e.Secure && !e.Clear || e.Proof == config.ProofStrict {
		return nil
	}
	return &Live{Stream: stream, tail: e.Tail, track: live.NewTrack(stream.Every)}
}

// Guard is what is to become of its connection when that ends.
func (e *Exchange) Guard() channel.Guard {
	if l := e.Live(); l != nil && l.Station || e.scheme != "" {
		return channel.GuardEnds
	}
	return channel.GuardFailures
}

// So often what the program has been handed is looked at, at most and at least: before half of what is kept has been written over.
const (
	firstFollow = 50 * time.Millisecond
	lastFollow  = 2 * time.Second
)

// A server's burst comes at once. What it begins with is looked for so often, and so long.
const (
	firstLook  = 5 * time.Millisecond
	beginsSoon = time.Second
)

// Follow finds out what a live response begins with, and where titles stand in what the program is handed of it, until the exchange is over.
func (e *Exchange) Follow() {
	l := e.Live()
	for end := time.Now().Add(beginsSoon); !e.Over() && time.Now().Before(end) && l.begins(e.Received()); {
		time.Sleep(firstLook)
	}
	for pause := firstFollow; l.Every > 0 && !e.Over(); {
		at, lost := l.look(e.Received())
		if lost {
			return // it is found out about again when it matters
		}
		time.Sleep(pause) // nothing announces what the program reads
		if n := e.Received() - at; n > 0 {
			pause = max(firstFollow, min(time.Duration(float64(pause)*live.Window/2/float64(n)), 2*pause, lastFollow))
		}
	}
}

// begins takes what the program has been handed first, up to the content offset at. It reports whether there may be more of that.
func (l *Live) begins(at int64) bool {
	octets := l.tail(at, live.Window)
	if int64(len(octets)) < at {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track.Feed(octets, at)
	l.first = l.track.Sound(octets, at)
	return at < live.Window
}

// Outside returns a content offset that the program, which has been handed so much, will come to soon, and within no title; false where it
// has no titles, or that is not known. lead is how much farther it will be soon, in octets.
func (l *Live) Outside(received, lead int64) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.track.Clone().Outside(l.tail(received, live.Window), received, lead)
}

// look takes what the program has been handed up to the content offset at.
func (l *Live) look(at int64) (reached int64, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track.Feed(l.tail(at, live.Window), at)
	return l.track.At(), l.track.Lost()
}

// Stands returns what is known of what the program has been handed.
func (l *Live) Stands() live.Program {
	l.mu.Lock()
	defer l.mu.Unlock()
	return live.Program{Track: l.track.Clone(), Tail: l.tail, First: l.first, Type: l.Type}
}
