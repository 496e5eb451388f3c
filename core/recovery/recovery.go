// Package recovery continues a stream whose connection has ended, is cut off, or is silent: the program is kept waiting, and the candidates
// are tried until one delivers, or the program is told how its connection ended. stream.go is the seam to the stream; trouble.go says how
// recoveries before have fared.
package recovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"midstream/core/budget"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/standby"
)

// What asks for a recovery, as a migration's record says it.
const (
	Ended    = "the connection ended"
	PathLost = "the network was lost"
	Silent   = "the connection fell silent"
)

const (
	stagger     = 3 * time.Millisecond   // between the beginnings of attempts on different candidates
	hedge       = 120 * time.Millisecond // after so long a candidate is tried once more: the first packets may be lost
	lastHedge   = time.Second            // the same for later ones, by doubling
	maxHedges   = 4                      // attempts on one candidate at once; the oldest gives way
	firstPause  = 60 * time.Millisecond  // before all candidates are tried anew, doubled up to lastPause
	lastPause   = 2 * time.Second
	settle      = 30 * time.Millisecond // after news of a network: the first packet on a new link is worth a second if lost
	noPause     = 80 * time.Millisecond // while no network is there at all
	maxRefusals = 3                     // answers of one candidate that do not continue the exchange

	askAside    = 150 * time.Millisecond // for one server to answer before another is asked beside it, or two round trips, up to
	lastAside   = 300 * time.Millisecond
	maxAsked    = 4                // at once
	answerLimit = 10 * time.Second // for a server to answer; a skip lasts as long as it gets on

	ownFor = time.Second // for so long the exchange's own servers are tried alone, if they say nothing

	// A program whose server does not accept connections any more, on a network that is there, is told after so long: by itself
	// it would have known at once.
	shutFor = 3 * time.Second
)

// tried is what an attempt to connect to a candidate has come to.
type tried struct {
	candidate standby.Candidate
	conn      *dial.Conn
	err       error
}

// answered is what a candidate has made of the request for the rest.
type answered struct {
	candidate standby.Candidate
	place     budget.Place
	rest      *resume.Rest      // to be handed over, or
	done      *delivery.Outcome // that of a request that was repeated whole, or
	err       error
}

// recovery is one run.
type recovery struct {
	s          Stream
	trouble    *trouble
	e          *exchange.Exchange
	cause      string
	at         int64 // content octets the program had when it began
	ctx        context.Context
	begun      time.Time
	silent     time.Time // since when the stream is, if that is the cause
	dead       bool      // it is not the server that is silent
	early      bool      // the program had nothing of the response
	spoke      bool      // the old connection delivers again
	finished   bool      // nothing more may be asked
	describing bool      // it is being found out where else the content is
	deadline   time.Time // of the program's patience
	nearer     nearer

	results chan tried
	running map[standby.Candidate]int
	last    map[standby.Candidate]time.Time // when an attempt was begun last
	patient map[standby.Candidate]time.Duration
	ends    map[standby.Candidate][]context.CancelFunc // of the attempts, the oldest first
	failed  map[standby.Candidate]error                // what the last attempt to connect has failed with

	ready   []tried // connections on which nothing has been asked yet
	answers chan answered
	asking  map[standby.Candidate]budget.Place
	quit    map[standby.Candidate]context.CancelFunc // ends the question
	aside   time.Time                                // from when on another may be asked beside them
	refused map[standby.Candidate]int
	until   map[standby.Candidate]time.Time // it is not to be asked again before
	why     error                           // why the last attempt failed
}

// Recoveries are those of one stream, of which one runs at a time: the zero value has none behind it. It belongs to whoever has the
// stream's turn.
type Recoveries struct{ trouble trouble }

// Run continues the stream elsewhere if that is needed, for the cause; whoever calls it has the stream's turn.
func (all *Recoveries) Run(s Stream, cause string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &recovery{
		s: s, trouble: &all.trouble, cause: cause, ctx: ctx, begun: time.Now(),
		results: make(chan tried, 64), answers: make(chan answered, maxAsked),
		running: map[standby.Candidate]int{}, last: map[standby.Candidate]time.Time{}, patient: map[standby.Candidate]time.Duration{},
		ends: map[standby.Candidate][]context.CancelFunc{}, failed: map[standby.Candidate]error{},
		asking: map[standby.Candidate]budget.Place{}, quit: map[standby.Candidate]context.CancelFunc{},
		refused: map[standby.Candidate]int{}, until: map[standby.Candidate]time.Time{},
	}
	if !r.needed(s.State()) {
		s.GiveUp(reason.MovableNoMore)
		return
	}
	if err := s.Unshared(ctx); err != nil {
		s.GiveUp(err)
		return
	}
	s.Begins(r.dead)
	defer s.Ends()
	r.at = r.e.Received()
	if pause := r.trouble.again(r.begun, r.e.Number, r.at); pause > 0 && !s.UnlessOver(r.e, nil, nil, pause/2+rand.N(pause)) {
		s.GiveUp(reason.MovableNoMore)
		return
	}
	s.InNeed(cause, r.confirm)
	r.run()
	cancel()
	r.drain()
	r.trouble.ended = time.Now()
	if cause == Silent {
		s.Alarmed(r.silent, r.spoke)
	}
}

// needed looks at what the stream's state asks for.
func (r *recovery) needed(s State) bool {
	e, h := s.Exchange, &s.Flow
	if !e.Asked() || s.Closed || !s.Movable {
		return false
	}
	r.e, r.early, r.silent, r.dead = e, !e.Answered(), h.Heard, h.Verdict == silence.Dead
	if s.Held {
		return true
	}
	if s.Several {
		return false // while one of several paths lives, what happens to another is for who has them all to deal with
	}
	if e.Budget.Over(e.Received()) || !e.Answering() && !e.Budget.Repeatable() {
		return false
	}
	switch r.cause {
	case PathLost:
		return s.Lost
	case Silent:
		if !h.Stands(e.Number, r.early, e.Received(), e.HeadLength()) {
			return false // it has been answered meanwhile
		}
		return r.dead || e.Answering()
	}
	return false
}

// run tries the candidates until one delivers, the old connection does, or patience ends.
func (r *recovery) run() {
	s := r.s
	pause := firstPause
	turn := time.NewTimer(0) // when the next candidate's turn comes
	defer turn.Stop()
	var queue []standby.Candidate
	if c, conn := s.Standby(); conn != nil {
		turn.Reset(askAside / 2) // for the others to be ready by then
		r.ready = append(r.ready, tried{candidate: c, conn: conn})
	}
	round := 0
	r.deadline = r.begun.Add(s.Patience())
	holding := false
	for {
		state := s.State()
		held := state.Held
		s.Met(r.why)
		if held && !holding {
			holding = true
			r.deadline = r.trouble.hold(time.Now()).Add(s.Patience())
			s.Hold(r.deadline)
		}
		news := s.News()
		if state.Closed || r.e.Done() || state.Told || !held && r.speaks() {
			return
		}
		if why := r.hopeless(queue, state); why != nil {
			s.GiveUp(why)
			return
		}
		r.askNext()
		wake := time.NewTimer(r.patience(held))
		select {
		case t := <-r.results:
			r.running[t.candidate]--
			r.failed[t.candidate] = t.err
			if t.conn != nil {
				r.ready = append(r.ready, t)
			} else {
				r.why = t.err
				if len(queue) > 0 {
					turn.Reset(0)
				}
			}
		case a := <-r.answers:
			delete(r.asking, a.candidate)
			r.quit[a.candidate]()
			err := r.take(a)
			if err == nil {
				wake.Stop()
				return
			}
			r.refuse(a, err)
			turn.Reset(0)
		case <-turn.C:
			if len(queue) == 0 {
				if round > 0 {
					pause = min(2*pause, lastPause)
				}
				queue = r.candidates()
				round++
			}
			s.Look()
			if len(queue) == 0 {
				pause = noPause // nothing is burdened by looking for a network
			}
			if len(queue) > 0 {
				r.begin(queue[0])
				queue = queue[1:]
			}
			if len(queue) > 0 {
				turn.Reset(stagger)
			} else {
				turn.Reset(pause/2 + rand.N(pause))
			}
		case <-news:
			pause = firstPause
			queue, round = nil, 0
			clear(r.patient)
			r.callOff()
			turn.Reset(settle)
		case <-state.Changed:
		case <-wake.C:
		}
		wake.Stop()
	}
}

// patience is how long nothing needs to be done if nothing happens.
func (r *recovery) patience(held bool) time.Duration {
	limit := time.Until(r.deadline)
	if held {
		if left := time.Until(r.trouble.held.Add(shutFor)); left > 0 {
			limit = min(limit, left)
		}
	}
	if len(r.ready) > 0 && len(r.asking) > 0 {
		limit = min(limit, time.Until(r.aside))
	}
	return max(limit, time.Millisecond)
}

// speaks reports whether the old connection, which is suspected only, delivers again.
func (r *recovery) speaks() bool {
	if !(r.e.Received() > r.at || r.early && r.e.Answered()) || r.s.State().Lost {
		return false
	}
	r.s.Log().Debug().Msg("it speaks again")
	r.spoke = true
	return true
}

// candidates in the order in which they are tried.
func (r *recovery) candidates() []standby.Candidate {
	own := r.s.State().Interface
	var list []standby.Candidate
	order := r.s.MayMove(r.refused[standby.Candidate{Interface: own}] > 0)
	// A server that is silent still accepts connections, and whoever asks it waits in vain: first everything else.
	silent := r.cause == Silent && !r.dead
	for _, iface := range order {
		if iface == own || silent {
			list = append(list, standby.Candidate{Interface: iface, Other: true})
		}
		if iface != own {
			list = append(list, standby.Candidate{Interface: iface})
		}
	}
	if slices.Contains(order, own) && (!silent || time.Since(r.silent) > 2*silence.Burst) {
		list = append(list, standby.Candidate{Interface: own})
	}
	return append(list, r.elsewhere(list, order)...)
}

// elsewhere are the candidates of other URLs: once none of the exchange's own has helped.
func (r *recovery) elsewhere(tried []standby.Candidate, order []string) (list []standby.Candidate) {
	for _, c := range tried {
		if r.failed[c] == nil && r.refused[c] == 0 && time.Since(r.begun) < ownFor {
			return nil
		}
	}
	if len(order) > 0 && !r.describing {
		r.describing = true
		own := r.s.State().Interface
		others := slices.DeleteFunc(slices.Clone(order), func(iface string) bool { return iface == own })
		if len(others) < len(order) {
			others = append(others, own) // where something has just failed
		}
		guard.Go(func() { r.s.Describe(r.ctx, others, r.e) })
	}
	for _, place := range r.s.Elsewhere(r.e) {
		for _, iface := range order {
			list = append(list, standby.Candidate{Interface: iface, Elsewhere: place})
		}
	}
	return list
}

// out reports whether a candidate is not to be asked any more.
func (r *recovery) out(c standby.Candidate) bool {
	return r.refused[c] >= maxRefusals || r.until[c].After(r.deadline) || (c.Other || c.Elsewhere.URL != "") && r.failed[c] != nil
}

// hopeless says why the program is to be told, nil if it is to be kept waiting.
func (r *recovery) hopeless(queue []standby.Candidate, s State) error {
	now := time.Now()
	kept := s.Held && s.Kept
	if kept {
		r.deadline = now.Add(r.s.Patience())
		r.s.HoldOn(r.deadline)
	}
	if now.After(r.deadline) && !r.renewed(now) {
		return reason.Patience.With(r.s.Patience(), r.why)
	}
	if s.Held && s.Released {
		return reason.Released
	}
	if len(r.asking) > 0 || len(r.ready) > 0 {
		return nil
	}
	if r.finished || !kept && r.e.Budget.Over(r.e.Received()) {
		return reason.Spent.With(r.why)
	}
	if !s.Held || kept {
		return nil
	}
	if now.Sub(r.trouble.held) >= shutFor && r.shut() {
		return reason.ShutServer.With(shutFor, r.why)
	}
	if len(queue) > 0 || len(r.refused) == 0 {
		return nil
	}
	for _, n := range r.running {
		if n > 0 {
			return nil
		}
	}
	for _, c := range r.candidates() {
		if !r.out(c) {
			return nil
		}
	}
	return reason.NoCandidate.With(r.why)
}

// shut reports whether the network that the program was on is there, and its server accepts no connections, or only to refuse.
func (r *recovery) shut() bool {
	own := r.s.State().Interface
	c := standby.Candidate{Interface: own}
	if !slices.Contains(r.s.Order(), own) {
		return false
	}
	err := r.failed[c]
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || r.refused[c] > 0 && err == nil
}

// begin starts an attempt to connect, unless enough are under way.
func (r *recovery) begin(c standby.Candidate) {
	kept := r.s.State().Kept
	if kept && r.e.Budget.Over(r.e.Received()) {
		return // it is held until somebody may be asked again
	}
	if c.Elsewhere.URL != "" && r.failed[c] != nil || r.refused[c] >= maxRefusals && !kept || time.Now().Before(r.until[c]) || r.asking[c] != (budget.Place{}) ||
		r.running[c] > 0 && time.Since(r.last[c]) < max(hedge, r.patient[c]) ||
		slices.ContainsFunc(r.ready, func(t tried) bool { return t.candidate == c }) {
		return
	}
	if r.running[c] > 0 {
		r.patient[c] = min(2*max(hedge, r.patient[c]), lastHedge)
	}
	r.running[c]++
	r.last[c] = time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, standby.AttemptLimit)
	r.ends[c] = append(r.ends[c], cancel)
	if len(r.ends[c]) > maxHedges {
		r.ends[c][0]()
		r.ends[c] = r.ends[c][1:]
	}
	alike := r.cause == Silent && !r.dead // the silent server may have an address of the other family as well
	r.s.Log().Debug().Str("over", c.Interface).Bool("other", c.Other).Msg("tries to connect")
	go func() {
		defer guard.Recover()
		defer cancel()
		begun := time.Now()
		conn, _, err := r.s.Connect(ctx, c, r.e, alike)
		r.s.Log().Debug().Str("over", c.Interface).Bool("other", c.Other).
			Dur("took", time.Since(begun)).Err(err).Msg("tried to connect")
		r.results <- tried{c, conn, err}
	}()
}

// renewed reports whether a skip has come so far lately that the program's patience lasts.
func (r *recovery) renewed(now time.Time) bool {
	r.deadline = r.nearer.when().Add(r.s.Patience())
	r.s.HoldOn(r.deadline)
	return now.Before(r.deadline)
}

// callOff ends the attempts over interfaces that cannot be used any more: what they send when the link comes back may
// be sent too early. What has been asked there is not waited for.
func (r *recovery) callOff() {
	usable := r.s.Order()
	for c := range r.asking {
		if !slices.Contains(usable, c.Interface) {
			r.quit[c]()
		}
	}
	for c, ends := range r.ends {
		if !slices.Contains(usable, c.Interface) {
			for _, end := range ends {
				end()
			}
			delete(r.ends, c)
		}
	}
}

// drain ends what is under way: what has been asked before anything else is done with the stream, connections when they come.
func (r *recovery) drain() {
	for range r.asking {
		if a := <-r.answers; a.rest != nil {
			a.rest.Conn.Reset()
		}
	}
	for _, t := range r.ready {
		t.conn.Reset()
	}
	running := 0
	for _, n := range r.running {
		running += n
	}
	go func() {
		defer guard.Recover()
		for ; running > 0; running-- {
			if t := <-r.results; t.conn != nil {
				t.conn.Reset()
			}
		}
	}()
}

// askNext asks over connections that are ready: one at once, the next where that has not answered for a while, which may still
// be heard first. A request of which nothing has been answered is in one server's hands at a time.
func (r *recovery) askNext() {
	for len(r.ready) > 0 && len(r.asking) < maxAsked &&
		(len(r.asking) == 0 || !r.early && !time.Now().Before(r.aside)) {
		t := r.ready[0]
		r.ready = r.ready[1:]
		at := budget.PlaceOf(t.candidate.Interface, t.conn)
		if r.asks(at) || time.Now().Before(r.e.Budget.Until(at)) {
			t.conn.Reset()
			continue
		}
		r.asking[t.candidate] = at
		r.aside = time.Now().Add(min(max(askAside, 2*t.conn.RTT()), lastAside))
		ctx, quit := context.WithCancel(r.ctx)
		r.quit[t.candidate] = quit
		if !r.early {
			limited, cancel := lease.With(ctx, answerLimit)
			limited.OnReached = r.nearer.reached
			ctx, r.quit[t.candidate] = limited, func() { cancel(); quit() }
		}
		go func() {
			a := answered{candidate: t.candidate, place: at}
			defer func() { r.answers <- a }()
			defer guard.Recover()
			if a.err = r.s.Unshared(ctx); a.err != nil {
				t.conn.Reset()
				return
			}
			a.rest, a.done, a.err = r.s.Ask(ctx, t.candidate, t.conn, r.e)
		}()
	}
}

// asks reports whether that server is being asked, as whatever candidate it was found.
func (r *recovery) asks(at budget.Place) bool {
	for _, asked := range r.asking {
		if asked == at {
			return true
		}
	}
	return false
}

// take hands over what a candidate has answered.
func (r *recovery) take(a answered) error {
	if a.err != nil {
		return a.err
	}
	return r.s.Take(r.ctx, a.candidate.Interface, r.cause, r.e, a.rest, a.done)
}

// refuse takes note that a candidate does not continue the exchange, for now or at all.
func (r *recovery) refuse(a answered, err error) {
	r.why = err
	r.s.Log().Info().Str("to", a.candidate.Interface).Err(err).Msg("not recovered there")
	var no *refusal.Refusal
	spent := errors.Is(err, reason.AskedTooOften) // which passes
	r.finished = r.finished || errors.As(err, &no) && (no.Spent && !spent || no.Gone)
	if !spent && !resume.Transient(err) && !errors.Is(err, errSpoke) && !r.e.Over() {
		r.refused[a.candidate]++
		if a.candidate.Elsewhere.URL != "" {
			r.refused[a.candidate] = maxRefusals // there are others, and nobody has promised that it has the content
		}
	}
	r.until[a.candidate] = r.e.Budget.Until(a.place)
}

// confirm has the last word before the program's connection is replaced: a silent one that speaks again stays.
func (r *recovery) confirm() error {
	if !r.s.State().Held && r.cause == Silent && r.e.Received() > r.at {
		return errSpoke
	}
	return nil
}

var errSpoke = error(reason.Speaks)
