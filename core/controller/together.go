// Several networks feed one exchange together (package aggregate): when that begins, how it is entered, and when it ends.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"sync"
	"time"

	"midstream/core/aggregate"
	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

const (
	// triggerTogether and triggerAlone are the causes that a migration's record names.
	triggerTogether = "several networks feed it together"
	triggerAlone    = "one network feeds it again: "
	personSays      = "a person has said so"

	lookTogether  = 100 * time.Millisecond // between looks whether it is worth it, or still is
	togetherAgain = 5 * time.Second        // before it is tried again; each time that it was of no use, twice as long, up to
	lastAgain     = 5 * time.Minute
	togetherLimit = 5 * time.Second // for entering
	leastTogether = 1 << 20         // octets that must be left when it begins, whoever asks for it, and when it is left
)

// feeding says whether several networks feed the stream's exchange. With its mu.
type feeding struct {
	together *together       // nil where one does
	wish     config.Together // what a person has said of that, "" nothing
}

// together is the feeding of one exchange from several networks.
type together struct {
	*aggregate.Assembler
	names  []string // interfaces, of the paths
	before float64  // octets a second that came before
}

// when says when several networks are to feed the stream's exchanges: a person's word, or the configuration's. With s.mu.
func (s *Stream) when() config.Together {
	if s.wish != "" {
		return s.wish
	}
	return s.c.config.Aggregate.When()
}

// gathers lets several networks feed the exchange for as long as that is worth it. It ends with the exchange.
func (s *Stream) gathers(e *exchange.Exchange) {
	if !e.ClaimFeeding() {
		return
	}
	if e.Length() < 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	again := togetherAgain
	inVain := func() {
		s.mover.Finishes(ctx, e, again)
		again = min(2*again, lastAgain)
	}
	for !e.Over() {
		s.mover.Finishes(ctx, e, lookTogether)
		s.mu.Lock()
		t, waits, when := s.together, !s.flow.Unread, s.when()
		f := aggregate.Facts{Movable: s.why() == "" && s.tls == nil && s.current() == e, Age: time.Since(e.Begun), Waits: waits, Left: e.Length() - e.Received()}
		s.mu.Unlock()
		if f.Left < leastTogether {
			return
		}
		if t != nil {
			reason, why := t.Leave(t.before), ""
			switch {
			case when == config.TogetherNever:
				why = personSays
			case reason != aggregate.Stay:
				why = reason.String()
			default:
				continue
			}
			if err := s.alone(ctx, t, why); err != nil {
				s.c.log.Info().Str("session", s.name()).Err(err).Msg("several networks go on feeding it: " + why)
			}
			if reason == aggregate.Fed {
				s.mover.Finishes(ctx, e, togetherAgain)
			} else {
				inVain()
			}
			continue
		}
		if when == config.TogetherNever || s.inNeed.Load() || aggregate.Worth(f, when == config.TogetherAlways) != "" {
			continue
		}
		if own, _ := s.Where(); len(s.feeders(own)) == 0 {
			continue
		}
		if err := s.gather(ctx, e); err != nil {
			s.c.log.Info().Str("session", s.name()).Err(err).Msg("several networks do not feed it together")
			inVain()
		}
	}
}

// aggregate lets several networks feed the selected streams together, or one again, as a person says.
func (c *Controller) aggregate(ctx context.Context, p control.AggregateParams) control.MigrateResult {
	result := control.MigrateResult{Streams: []control.StreamResult{}}
	streams := c.all(p.Session)
	c.askQuiet(ctx, streams)
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	for _, s := range streams {
		r := control.StreamResult{ID: s.name(), OK: true}
		if err := s.aggregate(ctx, p.On); err != nil {
			r.OK, r.Reason = false, err.Error()
		}
		result.Streams = append(result.Streams, r)
	}
	return result
}

// aggregate does what a person has said, for the exchange in progress and for all later ones.
func (s *Stream) aggregate(ctx context.Context, on bool) error {
	s.mu.Lock()
	s.wish = config.TogetherNever
	if on {
		s.wish = config.TogetherAlways
	}
	e, t, secure := s.current(), s.together, s.tls != nil
	s.mu.Unlock()
	switch {
	case !on && t != nil:
		return s.alone(ctx, t, personSays)
	case !on || t != nil:
		return nil
	case secure:
		return errors.New("it carries TLS")
	case e == nil:
		return nil // the next one
	}
	if err := s.mover.HeadComplete(ctx, e); err != nil {
		return err
	}
	if e.Length() < 0 {
		return errors.New("it is not known how long it is")
	}
	if err := s.gather(ctx, e); err != nil {
		return err
	}
	guard.Go(func() { s.gathers(e) })
	return nil
}

// feeders are the interfaces that may take part beside the stream's own.
func (s *Stream) feeders(own string) (list []string) {
	for _, iface := range s.Order() {
		if iface != own && (!s.Costs(iface, own) || s.c.config.Aggregate.Metered == config.MeteredNeed) {
			list = append(list, iface)
		}
	}
	return list
}

// gather lets several networks feed the exchange. The old connection delivers up to the octet where they begin.
func (s *Stream) gather(ctx context.Context, e *exchange.Exchange) error {
	ctx, cancel := context.WithTimeout(ctx, togetherLimit)
	defer cancel()
	if s.turn.Take(ctx) != nil {
		return errors.New("a migration of it is under way")
	}
	defer s.turn.Give()
	s.mu.Lock()
	why, current, fed, when := s.why(), s.current(), s.together != nil, s.when()
	s.mu.Unlock()
	switch {
	case fed:
		return nil // somebody else was faster
	case when == config.TogetherNever:
		return errors.New(personSays)
	case why != "":
		return errors.New(why)
	case current != e || !e.Answered():
		return resume.ErrAgain
	}
	if _, trailing := e.InTrailer(); trailing {
		return resume.ErrAgain
	}
	if err := s.Unshared(ctx); err != nil {
		return err
	}
	s.c.shim.Keep(s.slot, s.id, true)
	defer s.c.shim.Keep(s.slot, s.id, false)
	own := s.End()
	ways, rules, err := s.ways(e, own.Interface)
	if err != nil {
		return err
	}
	begun, before := time.Now(), e.Received()
	// The first of them says how far away servers are.
	first, err := s.Open(ctx, ways[0].to)
	if err != nil {
		return err
	}
	ways[0].ready = first
	now := e.Received()
	rate := e.Rate(now, now-before, time.Since(begun))
	h := s.Asker(e)
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
	o.Places = &e.Places
	o.Failed = func(err error) {
		if errors.Is(err, aggregate.ErrContradiction) {
			e.Refuse("its servers contradict each other about what the program has been handed")
		}
	}
	t := &together{before: rate}
	s.mu.Lock()
	if s.when() == config.TogetherAlways {
		t.before = 0 // who asks for it does not have to be shown that it pays
	}
	s.mu.Unlock()
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
	s.Record(ctx, own, own.Interface, triggerTogether, done)
	return nil
}

// enter hands over to what feeds from several networks, from the octet at on.
func (s *Stream) enter(ctx context.Context, e *exchange.Exchange, t *together, at int64, to resume.Destination, first *dial.Conn) (*delivery.Outcome, error) {
	if !t.Begun(ctx) {
		return nil, errors.New("no network has brought anything")
	}
	// What the old connection has delivered beyond is not needed any more.
	if end, ok := ctx.Deadline(); ok {
		t.SetReadDeadline(end)
	}
	for behind := e.Received() - at; behind > 0; behind = e.Received() - at {
		n, err := io.CopyN(io.Discard, t.Assembler, behind)
		if at += n; err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	t.SetReadDeadline(time.Time{})
	s.mu.Lock()
	off := s.when() == config.TogetherNever
	s.mu.Unlock()
	if off {
		return nil, errors.New(personSays)
	}
	left := e.Length() - at
	framing := http1.Framing{Kind: http1.Length, Length: left}
	put, err := s.SwitchToPair(ctx, e.Number, channel.Handover{At: at, When: channel.Then}, togetherLimit)
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
	return delivery.Several(s, e, put, src, to), nil
}

// tellTogether logs what came of it.
func (s *Stream) tellTogether(t *together) {
	told := s.c.log.Info().Str("session", s.name()).Int64("twice", t.Repeated()).Int64("held", t.Peak())
	for i, p := range t.States() {
		told = told.Int64(fmt.Sprintf("%s-%d", p.Interface, i), p.Octets)
	}
	told.Msg("several networks have fed it")
}

// alone lets the best of the paths bring the rest by itself. What the others have been asked for comes before it, so that nothing has to be
// waited for. From then on the stream is one that is relayed from that path's connection.
func (s *Stream) alone(ctx context.Context, t *together, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, togetherLimit)
	defer cancel()
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Give()
	s.mu.Lock()
	over := s.together != t
	s.mu.Unlock()
	if over {
		return nil
	}
	best := t.Best()
	if best < 0 {
		return errors.New("no path is in use")
	}
	from := s.End()
	conn, at, err := t.Alone(ctx, best)
	if err != nil {
		return err
	}
	s.mu.Lock()
	gone := s.together != t
	s.together = nil
	e := s.current()
	s.mu.Unlock()
	own, ok := conn.(*dial.Conn)
	if gone || !ok || e == nil {
		return resume.ErrAgain
	}
	s.Record(ctx, from, t.names[best], triggerAlone+reason, &delivery.Outcome{Conn: own, Offset: at - e.First, How: control.DeliveryRelayed})
	return nil
}

// ways are those to the exchange's servers: over the stream's own interface first.
func (s *Stream) ways(e *exchange.Exchange, own string) (ways []*wayTo, rules []aggregate.PathRules, err error) {
	others := s.feeders(own)
	if len(others) == 0 {
		return nil, nil, errors.New("no other network may be used")
	}
	for _, iface := range append([]string{own}, others...) {
		to, err := s.Destination(iface, e.Request)
		if err != nil {
			return nil, nil, err
		}
		to.Fresh = true // what stands by is for failures
		settings := s.c.config.Interfaces[iface]
		rule := aggregate.PathRules{Need: iface != own && s.Costs(iface, own), Cap: settings.Cap / 8, Share: settings.Share}
		for range s.c.config.Aggregate.Connections {
			ways, rules = append(ways, &wayTo{s: s, e: e, to: to}), append(rules, rule)
		}
	}
	return ways, rules, nil
}

// wayTo is a path's way to a server. It implements aggregate.Way.
type wayTo struct {
	s     *Stream
	e     *exchange.Exchange
	to    resume.Destination
	ready *dial.Conn // the first connection, if it has been made already
}

func (w *wayTo) Interface() string { return w.to.Interface }

func (w *wayTo) Dial(ctx context.Context) (net.Conn, error) {
	if conn := w.ready; conn != nil {
		w.ready = nil
		return conn, nil
	}
	conn, err := w.s.Open(ctx, w.to)
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	if until := w.e.Budget.Until(budget.PlaceOf(w.to.Interface, conn)); time.Now().Before(until) {
		conn.Reset()
		return nil, errors.New("the server wants not to be asked for now")
	}
	return conn, nil
}

func (w *wayTo) Request(first, last int64) []byte {
	octets := http1.ResumeRequest(w.e.Request, first, last, "", w.to.Form)
	if octets == nil || w.e.Complete(octets) != nil {
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
