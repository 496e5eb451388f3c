// What has been found out about an exchange's servers. It outlasts what feeds the exchange, which may begin anew.
package aggregate

import (
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/http1"
)

const (
	// Requests that bring nothing: as many as barrenMost in barrenIn, over all paths.
	barrenMost = 10
	barrenIn   = time.Minute
)

// Places are an exchange's servers, each as it is reached over an interface: another network may lead elsewhere. The zero value knows
// nothing of any. Safe for concurrent use.
type Places struct {
	mu     sync.Mutex
	all    map[placeName]*place
	barren []time.Time // when something was asked that brought nothing, over all of them
}

type placeName struct{ iface, server string }

// place is what is known of one.
type place struct {
	proved    atomic.Pointer[http1.Validators] // that its content is the right one, of answers with these
	much      atomic.Bool                      // its validators alone do not show that
	single    atomic.Bool                      // it is asked one thing at a time
	delivered atomic.Bool                      // the program has been handed octets of its
	refused   atomic.Pointer[refusing]
}

// refusing says why a server is not to be asked, and until when: a zero time stands for the exchange's end.
type refusing struct {
	why   string
	until time.Time
}

func (s *Places) at(iface, server string) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := placeName{iface, server}
	if s.all == nil {
		s.all = map[placeName]*place{}
	}
	p := s.all[name]
	if p == nil {
		p = &place{}
		s.all[name] = p
	}
	return p
}

// broughtNothing says that something was asked that brought nothing.
func (s *Places) broughtNothing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barren = append(s.barren, time.Now())
}

// pause is for how long who has failed is to wait, because so much has been asked in vain.
func (s *Places) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.barren) > 0 && time.Since(s.barren[0]) > barrenIn {
		s.barren = s.barren[1:]
	}
	if n := len(s.barren) - barrenMost; n >= 0 {
		return barrenIn - time.Since(s.barren[n])
	}
	return 0
}

// refuse takes note of a refusal.
func (p *place) refuse(r *refusal) {
	switch {
	case r.out:
		p.refused.Store(&refusing{why: r.why})
	case r.after > 0:
		p.refused.Store(&refusing{r.why, time.Now().Add(r.after)})
	}
}

// refusal is what it has refused lately, nil if it may be asked.
func (p *place) refusal() *refusal {
	r := p.refused.Load()
	switch {
	case r == nil:
		return nil
	case r.until.IsZero():
		return &refusal{why: r.why, out: true}
	}
	if left := time.Until(r.until); left > 0 {
		return &refusal{why: r.why, after: left}
	}
	return nil
}
