// Package together has several networks feed one exchange (package aggregate does): when that begins, how it is entered, and when it ends.
package together

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/aggregate"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/migration"
	"midstream/core/reason"
	"midstream/core/relay"
	"midstream/core/resume"
)

const (
	// triggerTogether and triggerAlone are the causes that a migration's record names.
	triggerTogether = "several networks feed it together"
	triggerAlone    = "one network feeds it again: "

	lookTogether  = 100 * time.Millisecond // between looks whether it is worth it, or still is
	togetherAgain = 5 * time.Second        // before it is tried again; each time that it was of no use, twice as long, up to
	lastAgain     = 5 * time.Minute
	togetherLimit = 5 * time.Second // for entering
	connectLimit  = 3 * time.Second // for the first connections, of which each makes a path sooner
	leastTogether = 1 << 20         // octets that must be left when it begins, whoever asks for it, and when it is left
)

// Stream is the program's stream, as its owner shows it to whoever has several networks feed it. Safe for concurrent use.
type Stream interface {
	migration.Stream

	// Order lists the interfaces over which it could be continued, the best first.
	Order() []string
	// Costs reports whether octets over the interface cost something, or more than over own.
	Costs(iface, own string) bool
	// Waits reports whether the program has read all that the network has brought.
	Waits() bool
	// Failing reports whether a recovery asks servers for it.
	Failing() bool
	// OfOne says why several connections cannot feed it, whatever it is asked for, if they cannot.
	OfOne() reason.Reason
}

// Feeding says whether several networks feed a stream's exchange, and has them do. Safe for concurrent use; its lock is taken with the
// stream's or without, and nothing is called with it.
type Feeding struct {
	s      Stream
	mover  *migration.Mover
	config *config.Config

	mu      sync.Mutex
	present *together       // nil where one network does
	wish    config.Together // what a person has said of that, "" nothing
}

// New returns the feeding of a stream, by one network.
func New(s Stream, mover *migration.Mover, c *config.Config) *Feeding {
	return &Feeding{s: s, mover: mover, config: c}
}

// together is the feeding of one exchange from several networks.
type together struct {
	*aggregate.Assembler
	names  []string // interfaces, of the paths
	before float64  // octets a second that came before

	foreign sync.Map // of connections: they lead to another name than the program's

	parting atomic.Bool // another connection is about to take their place, or has
}

// isForeign reports whether the connection leads to another name than the program's, to which nothing of the program's is to go.
func (t *together) isForeign(conn *dial.Conn) bool {
	_, is := t.foreign.Load(conn)
	return is
}

// now returns what feeds from several networks, nil where one does, and when they are to: a person's word, or the configuration's.
func (f *Feeding) now() (*together, config.Together) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wish != "" {
		return f.present, f.wish
	}
	return f.present, f.config.Aggregate.When()
}

// Several reports whether several networks feed the stream.
func (f *Feeding) Several() bool {
	t, _ := f.now()
	return t != nil
}

// Wanted reports whether they may, should it be worth it.
func (f *Feeding) Wanted() bool {
	_, when := f.now()
	return when != config.TogetherNever
}

// leave takes note that t feeds it no more; false: it has not any more.
func (f *Feeding) leave(t *together) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.present != t {
		return false
	}
	f.present = nil
	return true
}

// Gather lets several networks feed the exchange for as long as that is worth it. It ends with the exchange.
func (f *Feeding) Gather(e *exchange.Exchange) {
	if !e.ClaimFeeding() {
		return
	}
	if why := f.s.OfOne(); !why.None() {
		f.s.Log().Debug().Str("why", why.Error()).Msg("several networks do not feed it together")
		return
	}
	if e.Length() < 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	again := togetherAgain
	inVain := func() {
		f.mover.Finishes(ctx, e, again)
		again = min(2*again, lastAgain)
	}
	for !e.Over() {
		f.mover.Finishes(ctx, e, lookTogether)
		t, when := f.now()
		state := f.s.State()
		facts := aggregate.Facts{Movable: state.Why.None() && state.Current == e, Age: time.Since(e.Begun), Waits: f.s.Waits(),
			Left: e.Length() - e.Received()}
		if facts.Left < leastTogether {
			return
		}
		if t != nil {
			cause, why := t.Leave(t.before), ""
			switch {
			case when == config.TogetherNever:
				why = reason.PersonSays.Error()
			case cause != aggregate.Stay:
				why = cause.String()
			default:
				continue
			}
			if err := f.alone(ctx, t, why); err != nil {
				f.s.Log().Info().Err(err).Msg("several networks go on feeding it: " + why)
			}
			if cause == aggregate.Fed {
				f.mover.Finishes(ctx, e, togetherAgain)
			} else {
				inVain()
			}
			continue
		}
		if when == config.TogetherNever || f.s.Failing() || aggregate.Worth(facts, when == config.TogetherAlways) != "" {
			continue
		}
		if len(f.feeders(state.Interface)) == 0 {
			continue
		}
		if err := f.gather(ctx, e); err != nil {
			f.s.Log().Info().Err(err).Msg("several networks do not feed it together")
			inVain()
		}
	}
}

// Wish does what a person has said, for the exchange in progress and for all later ones.
func (f *Feeding) Wish(ctx context.Context, on bool) error {
	f.mu.Lock()
	f.wish = config.TogetherNever
	if on {
		f.wish = config.TogetherAlways
	}
	t := f.present
	f.mu.Unlock()
	e := f.s.State().Current
	switch {
	case !on && t != nil:
		return f.alone(ctx, t, reason.PersonSays.Error())
	case !on || t != nil:
		return nil
	case !f.s.OfOne().None():
		return f.s.OfOne()
	case e == nil:
		return nil // the next one
	}
	if err := f.mover.HeadComplete(ctx, e); err != nil {
		return err
	}
	if e.Length() < 0 {
		return reason.HowLong
	}
	if err := f.gather(ctx, e); err != nil {
		return err
	}
	guard.Go(func() { f.Gather(e) })
	return nil
}

// feeders are the interfaces that may take part beside the stream's own.
func (f *Feeding) feeders(own string) (list []string) {
	for _, iface := range f.s.Order() {
		if iface != own && (!f.s.Costs(iface, own) || f.config.Aggregate.Metered == config.MeteredNeed) {
			list = append(list, iface)
		}
	}
	return list
}

// gather lets several networks feed the exchange. The old connection delivers up to the octet where they begin.
func (f *Feeding) gather(ctx context.Context, e *exchange.Exchange) error {
	ctx, cancel := context.WithTimeout(ctx, togetherLimit)
	defer cancel()
	if f.s.Turn().Take(ctx) != nil {
		return reason.Migration
	}
	defer f.s.Turn().Give()
	fed, when := f.now()
	state := f.s.State()
	switch {
	case fed != nil:
		return nil // somebody else was faster
	case when == config.TogetherNever:
		return reason.PersonSays
	case !state.Why.None():
		return state.Why
	case state.Current != e || !e.Answered():
		return resume.ErrAgain
	}
	if _, trailing := e.InTrailer(); trailing {
		return resume.ErrAgain
	}
	if err := f.s.Unshared(ctx); err != nil {
		return err
	}
	f.s.KeepTail(true)
	defer f.s.KeepTail(false)
	own := f.s.End()
	ways, rules, err := f.ways(e, own.Interface)
	if err != nil {
		return err
	}
	begun, before := time.Now(), e.Received()
	t := &together{}
	var all []*early
	for _, w := range ways {
		w.all = t
		w.early = begin(connectLimit, w.connect)
		all = append(all, w.early)
	}
	given := false
	defer func() {
		for _, w := range ways {
			if !given && w.early != nil {
				w.early.drop()
			}
		}
	}()
	// The first of them says how far away servers are.
	one, err := firstOf(ctx, all, func(i int) bool { return !rules[i].Need && !ways[i].Foreign() })
	if err != nil {
		return err
	}
	first := all[one].conn
	now := e.Received()
	rate := e.Rate(now, now-before, time.Since(begun))
	h := f.s.Asker(e)
	known := h.Collect(ctx, time.Second)
	// A connection is there; one round trip for the proof, one for the first octets, and one for them to become many.
	trip := first.RTT()
	if one != 0 {
		trip = max(trip, slower) // the old connection's octets take as long
	}
	at := known.End + int64(rate*(3*min(trip, longestTrip)+20*time.Millisecond).Seconds())
	if e.Length()-at < leastTogether {
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
			e.Refuse(reason.Contradicted.Alone())
		}
	}
	if _, when := f.now(); when != config.TogetherAlways {
		t.before = rate // who asks for it does not have to be shown that it pays
	}
	for i, w := range ways {
		o.Paths = append(o.Paths, aggregate.PathOptions{Way: w, Rules: rules[i]})
		t.names = append(t.names, w.iface)
	}
	o.Note = func(n aggregate.Note) {
		f.s.Log().Debug().Str("interface", t.names[n.Path]).Msg(n.What)
	}
	given = true
	t.Assembler = aggregate.New(o)
	done, err := f.enter(ctx, e, t, at, ways[one].to, first)
	if err != nil {
		guard.Go(func() { t.Close() })
		return err
	}
	f.s.Record(ctx, own, ways[one].to.Interface, triggerTogether, done)
	return nil
}

// enter hands over to what feeds from several networks, from the octet at on.
func (f *Feeding) enter(ctx context.Context, e *exchange.Exchange, t *together, at int64, to resume.Destination, first *dial.Conn) (*delivery.Outcome, error) {
	if !t.Begun(ctx) {
		return nil, reason.NothingBrought
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
	if !f.Wanted() {
		return nil, reason.PersonSays
	}
	left := e.Length() - at
	framing := http1.Framing{Kind: http1.Length, Length: left}
	put, err := f.s.SwitchToPair(ctx, e.Number, channel.Handover{At: at, When: channel.Then}, togetherLimit)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.present = t
	f.mu.Unlock()
	// The connection stands for those that take requests: later ones of the program's are sent over a new one.
	src := &relay.Source{Conn: first, Answer: e.Response, Framing: framing, Content: relay.NewContent(t.Assembler, framing), At: at, Left: left}
	src.Several = sync.OnceFunc(func() {
		f.leave(t)
		f.tell(t)
		t.Close()
	})
	if !f.s.Secure() {
		src.Rest = func() (*dial.Conn, bool) {
			rest, reusable := t.Rest()
			conn, _ := rest.(*dial.Conn)
			return conn, reusable && !t.isForeign(conn)
		}
	}
	return delivery.Several(f.s, e, put, src, to), nil
}

// tell logs what came of it.
func (f *Feeding) tell(t *together) {
	told := f.s.Log().Info().Int64("twice", t.Repeated()).Int64("held", t.Peak())
	for i, p := range t.States() {
		told = told.Int64(fmt.Sprintf("%s-%d", p.Interface, i), p.Octets)
	}
	told.Msg("several networks have fed it")
}

// alone lets the best of the paths bring the rest by itself. What the others have been asked for comes before it, so that nothing has to be
// waited for. From then on the stream is one that has been moved to that path's connection. Over TLS that connection's octets have been the
// core's: another one is made, to which the stream is moved.
func (f *Feeding) alone(ctx context.Context, t *together, why string) error {
	ctx, cancel := context.WithTimeout(ctx, togetherLimit)
	defer cancel()
	if f.s.Secure() {
		best := t.Best(ctx)
		if best < 0 {
			return reason.NoPath
		}
		ours := false
		e := f.s.State().Current
		if e == nil || e.Last+1-t.Held() < leastTogether {
			return resume.ErrAgain
		}
		still := func() bool {
			now, _ := f.now()
			ours = now == t && (ours || t.parting.CompareAndSwap(false, true))
			return ours
		}
		held := func() int64 { return t.Held() - e.First }
		_, err := f.mover.Gather(ctx, t.names[best], triggerAlone+why, &migration.Gathering{Still: still, Held: held})
		if err != nil && ours {
			t.parting.Store(false)
		}
		if err == nil && ours {
			f.leave(t)
		}
		return err
	}
	if err := f.s.Turn().Take(ctx); err != nil {
		return err
	}
	defer f.s.Turn().Give()
	if now, _ := f.now(); now != t {
		return nil
	}
	best := t.Best(ctx)
	if best < 0 {
		return reason.NoPath
	}
	from := f.s.End()
	conn, at, err := t.Alone(ctx, best)
	if err != nil {
		return err
	}
	there := f.leave(t)
	e := f.s.State().Current
	own, ok := conn.(*dial.Conn)
	if !there || !ok || e == nil {
		return resume.ErrAgain
	}
	t.Part()
	f.s.Record(ctx, from, t.names[best], triggerAlone+why, &delivery.Outcome{Conn: own, Offset: at - e.First, How: control.DeliveryRelayed, Foreign: t.isForeign(own)})
	return nil
}

// ways are those to the exchange's servers: over the stream's own interface first.
func (f *Feeding) ways(e *exchange.Exchange, own string) (ways []*wayTo, rules []aggregate.PathRules, err error) {
	others := f.feeders(own)
	if len(others) == 0 {
		return nil, nil, reason.NoNetwork
	}
	for _, iface := range append([]string{own}, others...) {
		to, err := f.s.Destination(iface, e.Request)
		if err != nil {
			return nil, nil, err
		}
		to.Fresh = true // what stands by is for failures
		settings := f.config.Interfaces[iface]
		rule := aggregate.PathRules{Need: iface != own && f.s.Costs(iface, own), Cap: settings.Cap / 8, Share: settings.Share}
		for range f.config.Aggregate.Connections {
			ways, rules = append(ways, &wayTo{s: f.s, e: e, iface: iface, to: to, request: e.Request, own: iface == own}), append(rules, rule)
		}
	}
	return ways, rules, nil
}

// Paths says what each path does; nil where one network feeds the stream. It is not called with the stream's lock.
func (f *Feeding) Paths() (paths []control.Path) {
	t, _ := f.now()
	if t == nil {
		return nil
	}
	for _, p := range t.States() {
		paths = append(paths, control.Path{Interface: p.Interface, Server: p.Server, Octets: p.Octets, Rate: int64(p.Rate), RTTMS: control.Milliseconds(p.RTT), Outstanding: p.Outstanding, Why: p.Why})
	}
	return paths
}
