// Several networks feed one exchange together (package aggregate): when that begins, how it is entered, and when it ends.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"midstream/core/aggregate"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

const (
	// triggerTogether and triggerAlone are the causes that a migration's record names.
	triggerTogether = "several networks feed it together"
	triggerAlone    = "one network feeds it again: "

	lookTogether  = 100 * time.Millisecond // between looks whether it is worth it, or still is
	togetherAgain = 5 * time.Second        // before it is tried again
	togetherLimit = 5 * time.Second        // for entering
	leastTogether = 1 << 20                // octets that must be left when it begins, whoever asks for it, and when it is left
)

// together is the feeding of one exchange from several networks.
type together struct {
	*aggregate.Assembler
	names  []string // interfaces, of the paths
	before float64  // octets a second that came before
}

// gathers lets several networks feed the exchange for as long as that is worth it. It ends with the exchange.
func (s *Stream) gathers(e *exchange) {
	when := s.c.config.Aggregate.When()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for !s.isOver(e) {
		waiting, done := context.WithTimeout(ctx, lookTogether)
		s.finishes(waiting, e, lookTogether)
		done()
		s.mu.Lock()
		t, waits := s.together, !s.flow.Unread
		f := aggregate.Facts{Movable: s.why() == "" && s.tls == nil && s.current() == e, Age: time.Since(e.Begun), Waits: waits, Left: -1}
		s.mu.Unlock()
		if n := e.Length(); n >= 0 {
			f.Left = n - s.received(e)
		}
		if t != nil {
			if reason := t.Leave(t.before); reason != aggregate.Stay && f.Left > leastTogether {
				s.alone(ctx, e, t, reason)
			}
			continue
		}
		if f.Left >= 0 && f.Left < leastTogether {
			return
		}
		own, _ := s.where()
		f.Others = len(s.feeders(own))
		if aggregate.Worth(f, when == config.TogetherAlways) != "" || s.inNeed.Load() {
			continue
		}
		if err := s.gather(ctx, e); err != nil {
			s.c.log.Info().Str("session", s.name()).Err(err).Msg("several networks do not feed it together")
			s.finishes(ctx, e, togetherAgain)
		}
	}
}

// feeders are the interfaces that may take part beside the stream's own.
func (s *Stream) feeders(own string) (list []string) {
	for _, iface := range s.order() {
		if iface != own && (!s.c.dearer(iface, own) && !s.c.metered(iface) || s.c.config.Aggregate.Metered == config.MeteredNeed) {
			list = append(list, iface)
		}
	}
	return list
}

// gather lets several networks feed the exchange. The old connection delivers up to the octet where they begin.
func (s *Stream) gather(ctx context.Context, e *exchange) error {
	ctx, cancel := context.WithTimeout(ctx, togetherLimit)
	defer cancel()
	if s.turn.Take(ctx) != nil {
		return errors.New("a migration of it is under way")
	}
	defer s.turn.Give()
	s.mu.Lock()
	why, current := s.why(), s.current()
	s.mu.Unlock()
	switch {
	case why != "":
		return errors.New(why)
	case current != e || e.Response == nil:
		return resume.ErrAgain
	}
	if _, trailing := s.inTrailer(e); trailing {
		return resume.ErrAgain
	}
	if err := s.unshared(ctx); err != nil {
		return err
	}
	s.c.shim.Keep(s.slot, s.id, true)
	defer s.c.shim.Keep(s.slot, s.id, false)
	own := s.end()
	ways, rules, err := s.ways(e, own.Interface)
	if err != nil {
		return err
	}
	begun, before := time.Now(), s.received(e)
	// The first of them says how far away servers are.
	first, err := s.open(ctx, ways[0].to)
	if err != nil {
		return err
	}
	ways[0].ready = first
	now := s.received(e)
	rate := e.Rate(now, now-before, time.Since(begun))
	h := s.asker(e)
	known := h.Collect(ctx, time.Second)
	// A connection is there; one round trip for the proof, one for the first octets, and one for them to become many.
	at := known.End + int64(rate*(3*first.RTT()+20*time.Millisecond).Seconds())
	if e.Length()-at < leastTogether {
		first.Reset()
		return resume.ErrAgain
	}
	o := aggregate.Options{First: e.First + at, End: e.Last + 1, Total: e.Total, Known: known.Octets, KnownEnd: e.First + known.End, Overlap: int(e.Least())}
	o.Prove = func(v http1.Validators, compared int64) error {
		err := h.Proves(v, compared, known.End)
		if err == resume.ErrMore {
			return aggregate.ErrCompare
		}
		return err
	}
	t := &together{}
	if s.c.config.Aggregate.When() != config.TogetherAlways {
		t.before = rate // who asks for it does not have to be shown that it pays
	}
	for i, w := range ways {
		o.Paths = append(o.Paths, aggregate.PathOptions{Way: w, Rules: rules[i]})
		t.names = append(t.names, w.to.Interface)
	}
	o.Note = func(n aggregate.Note) {
		s.c.log.Debug().Str("session", s.name()).Str("interface", t.names[n.Path]).Msg(n.What)
	}
	t.Assembler = aggregate.New(o)
	done, err := s.enter(ctx, e, t, at, ways[0].to, first)
	if err != nil {
		guard.Go(func() { t.Close() })
		return err
	}
	s.record(ctx, own, own.Interface, triggerTogether, done)
	return nil
}

// enter hands over to what feeds from several networks, from the octet at on.
func (s *Stream) enter(ctx context.Context, e *exchange, t *together, at int64, to resume.Destination, first *dial.Conn) (*outcome, error) {
	if !t.Begun(ctx) {
		return nil, errors.New("no network has brought anything")
	}
	// What the old connection has delivered beyond is not needed any more.
	for behind := s.received(e) - at; behind > 0; behind = s.received(e) - at {
		n, err := io.CopyN(io.Discard, t.Assembler, behind)
		if at += n; err != nil {
			return nil, err
		}
	}
	left := e.Length() - at
	framing := http1.Framing{Kind: http1.Length, Length: left}
	put, err := s.putPair(ctx, e.number, channel.Handover{At: at, When: channel.Then}, togetherLimit)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.together = t
	s.mu.Unlock()
	// The connection stands for those that take requests: later ones of the program's are sent over a new one.
	src := &relay.Source{Conn: first, Answer: e.Response, Framing: framing, Content: relay.NewContent(t.Assembler, framing), At: at, Left: left}
	src.Several = sync.OnceFunc(func() {
		s.mu.Lock()
		if s.together == t {
			s.together = nil
		}
		s.mu.Unlock()
		s.tellTogether(t)
		t.Close()
	})
	relay.New(relayed{s}, upstream{s, to}, put, e.number).Feed(src, s.relayedExchange(e), put.Position)
	return &outcome{conn: first, offset: put.Position.Received, delivery: control.DeliveryTogether, resumes: true}, nil
}

// tellTogether logs what came of it.
func (s *Stream) tellTogether(t *together) {
	told := s.c.log.Info().Str("session", s.name()).Int64("twice", t.Repeated()).Int64("held", t.Peak())
	for i, p := range t.States() {
		told = told.Int64(fmt.Sprintf("%s-%d", p.Interface, i), p.Octets)
	}
	told.Msg("several networks have fed it")
}

// alone lets the best of the paths go on by itself, as a stream's connection does.
func (s *Stream) alone(ctx context.Context, e *exchange, t *together, reason aggregate.Reason) {
	best := t.Best()
	if best < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.config.Migration.Timeout)
	defer cancel()
	if s.turn.Take(ctx) != nil {
		return
	}
	defer s.turn.Give()
	from, to := s.end(), t.names[best]
	s.delay, s.late = 0, 0
	done, err := s.attempt(ctx, to)
	if err != nil {
		s.c.log.Info().Str("session", s.name()).Err(err).Msg("several networks go on feeding it: " + reason.String())
		s.finishes(ctx, e, togetherAgain)
		return
	}
	s.mu.Lock()
	s.together = nil // what has fed it until now ends when it finds that nobody reads it any more
	s.mu.Unlock()
	s.record(ctx, from, to, triggerAlone+reason.String(), done)
	s.finishes(ctx, e, togetherAgain)
}

// ways are those to the exchange's servers: over the stream's own interface first.
func (s *Stream) ways(e *exchange, own string) (ways []*wayTo, rules []aggregate.PathRules, err error) {
	others := s.feeders(own)
	if len(others) == 0 {
		return nil, nil, errors.New("no other network may be used")
	}
	for _, iface := range append([]string{own}, others...) {
		to, err := s.routeOf(iface, e.Request)
		if err != nil {
			return nil, nil, err
		}
		to.Fresh = true // what stands by is for failures
		settings := s.c.config.Interfaces[iface]
		rule := aggregate.PathRules{Need: iface != own && (s.c.metered(iface) || s.c.dearer(iface, own)), Cap: settings.Cap / 8, Share: settings.Share}
		for range s.c.config.Aggregate.Connections {
			ways, rules = append(ways, &wayTo{s: s, e: e, to: to}), append(rules, rule)
		}
	}
	return ways, rules, nil
}

// wayTo is a path's way to a server. It implements aggregate.Way.
type wayTo struct {
	s     *Stream
	e     *exchange
	to    resume.Destination
	ready *dial.Conn // the first connection, if it has been made already
}

func (w *wayTo) Interface() string { return w.to.Interface }

func (w *wayTo) Dial(ctx context.Context) (net.Conn, error) {
	if conn := w.ready; conn != nil {
		w.ready = nil
		return conn, nil
	}
	conn, err := w.s.open(ctx, w.to)
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	return conn, nil
}

func (w *wayTo) Request(first, last int64) []byte {
	octets := http1.ResumeRequest(w.e.Request, first, last, "", w.to.Form)
	if octets == nil || w.s.complete(w.e, octets) != nil {
		return nil
	}
	return octets
}

// describe says what each path does; nil where one network feeds the stream.
func (t *together) describe() (paths []control.Path) {
	if t == nil {
		return nil
	}
	for _, p := range t.States() {
		paths = append(paths, control.Path{Interface: p.Interface, Server: p.Server, Octets: p.Octets, Rate: int64(p.Rate), RTTMS: milliseconds(p.RTT), Outstanding: p.Outstanding, Why: p.Why})
	}
	return paths
}
