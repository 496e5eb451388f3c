// The recovery of a stream whose connection has ended, is cut off, or is silent: the program is kept waiting, the
// candidates are tried until one delivers, or the program is told how its connection ended.
package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/silence"
)

const (
	stagger      = 3 * time.Millisecond   // between the beginnings of attempts on different candidates
	attemptLimit = 5 * time.Second        // for one attempt to connect
	hedge        = 120 * time.Millisecond // after so long a candidate is tried once more: the first packets may be lost
	lastHedge    = time.Second            // the same for later ones, by doubling
	maxHedges    = 4                      // attempts on one candidate at once; the oldest gives way
	firstPause   = 60 * time.Millisecond  // before all candidates are tried anew, doubled up to lastPause
	lastPause    = 2 * time.Second
	settle       = 30 * time.Millisecond // after news of a network: the first packet on a new link is worth a second if lost
	noPause      = 80 * time.Millisecond // while no network is there at all
	maxRefusals  = 3                     // answers of one candidate that do not continue the exchange

	askAside    = 150 * time.Millisecond // for one server to answer before another is asked beside it, or two round trips, up to
	lastAside   = 300 * time.Millisecond
	maxAsked    = 4                // at once
	answerLimit = 10 * time.Second // for a server to answer; a skip lasts as long as it gets on

	// A program whose server does not accept connections any more, on a network that is there, is told after so long: by itself
	// it would have known at once.
	shutFor = 3 * time.Second
)

// candidate is a way to continue: over an interface, at another server than the present one or at any.
type candidate struct {
	iface string
	other bool
}

// tried is what an attempt to connect to a candidate has come to.
type tried struct {
	candidate candidate
	conn      *dial.Conn
	err       error
}

// answered is what a candidate has made of the request for the rest.
type answered struct {
	candidate candidate
	place     budget.Place
	rest      *resume.Rest      // to be handed over, or
	done      *delivery.Outcome // that of a request that was repeated whole, or
	err       error
}

// recovery is one run of recover.
type recovery struct {
	s        *Stream
	e        *exchange.Exchange
	cause    string
	at       int64 // content octets the program had when it began
	ctx      context.Context
	begun    time.Time
	silent   time.Time // since when the stream is, if that is the cause
	dead     bool      // it is not the server that is silent
	early    bool      // the program had nothing of the response
	spoke    bool      // the old connection delivers again
	finished bool      // nothing more may be asked
	deadline time.Time // of the program's patience
	nearer   nearer

	results chan tried
	running map[candidate]int
	last    map[candidate]time.Time // when an attempt was begun last
	patient map[candidate]time.Duration
	ends    map[candidate][]context.CancelFunc // of the attempts, the oldest first
	failed  map[candidate]error                // what the last attempt to connect has failed with

	ready   []tried // connections on which nothing has been asked yet
	answers chan answered
	asking  map[candidate]budget.Place
	quit    map[candidate]context.CancelFunc // ends the question
	aside   time.Time                        // from when on another may be asked beside them
	refused map[candidate]int
	until   map[candidate]time.Time // it is not to be asked again before
	reason  error                   // why the last attempt failed
}

func (s *Stream) where() (string, netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.iface, s.server
}

// recover continues the stream elsewhere if that is needed. One at a time; while one runs, others are not needed.
func (s *Stream) recover(cause string) {
	s.mu.Lock()
	if s.recovering {
		s.change() // the one that runs looks at the state again
		s.mu.Unlock()
		return
	}
	s.recovering = true
	s.mu.Unlock()
	again := s.recoverOnce(cause)
	s.mu.Lock()
	s.recovering = false
	again = again || s.failed != nil && s.failed.pending() && !s.closed
	idle := s.current() == nil
	s.flow.Restart(time.Now())
	s.mu.Unlock()
	switch {
	case again:
		// It failed anew after the recovery had looked for the last time.
		guard.Go(func() { s.recover(cause) })
	case idle:
		s.lookAtPath() // the response has come to its end meanwhile, and the connection may be of no use for the next
	}
}

// recoverOnce reports whether it has to be repeated.
func (s *Stream) recoverOnce(cause string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.turn.Take(ctx)
	defer s.turn.Give()
	r := &recovery{
		s: s, cause: cause, ctx: ctx, begun: time.Now(),
		results: make(chan tried, 64), answers: make(chan answered, maxAsked),
		running: map[candidate]int{}, last: map[candidate]time.Time{}, patient: map[candidate]time.Duration{},
		ends: map[candidate][]context.CancelFunc{}, failed: map[candidate]error{},
		asking: map[candidate]budget.Place{}, quit: map[candidate]context.CancelFunc{},
		refused: map[candidate]int{}, until: map[candidate]time.Time{},
	}
	s.mu.Lock()
	needed := r.needed()
	s.mu.Unlock()
	if !needed {
		s.tellIfHeld("the exchange cannot be moved any more")
		return false
	}
	if err := s.unshared(ctx); err != nil {
		s.tellIfHeld(err.Error())
		return false
	}
	s.setMigrating(true)
	defer s.setMigrating(false)
	s.forgetEvidence(r.dead)
	r.at = r.e.Received()
	if pause := s.trouble.again(r.begun, r.e.Number, r.at); pause > 0 && !s.unlessOver(r.e, nil, nil, pause/2+rand.N(pause)) {
		s.tellIfHeld("the exchange cannot be moved any more")
		return false
	}
	s.publish(control.EventFailure, cause, map[string]any{"cause": cause})
	s.confirm = r.confirm
	s.inNeed.Store(true)
	defer func() {
		s.confirm = nil
		s.inNeed.Store(false)
	}()
	again := r.run()
	cancel()
	r.drain()
	now := time.Now()
	s.trouble.ended = now
	if cause == triggerSilent {
		s.mu.Lock()
		s.flow.Alarmed(now, r.silent, r.spoke)
		s.mu.Unlock()
	}
	return again
}

// needed looks at what the stream's state asks for. With s.mu.
func (r *recovery) needed() bool {
	s, h := r.s, &r.s.flow
	e := s.current()
	if e == nil || !e.Asked() || s.closed || s.why() != "" {
		return false
	}
	r.e, r.early, r.silent, r.dead = e, !e.Answered(), h.Heard, h.Verdict == silence.Dead
	held := s.failed != nil && s.failed.pending()
	if !held && s.together != nil {
		return false // while one of several paths lives, what happens to another is for who has them all to deal with
	}
	if !held && (e.Budget.Over(e.Received()) || !e.Answering() && !e.Budget.Repeatable()) {
		return false
	}
	switch {
	case held:
		return true
	case r.cause == triggerPath:
		return s.pathLost() != ""
	case r.cause == triggerSilent:
		if !h.Stands(e.Number, r.early, e.Received(), e.HeadLength()) {
			return false // it has been answered meanwhile
		}
		return r.dead || e.Answering()
	}
	return false
}

// run tries the candidates until one delivers, the old connection does, or patience ends.
func (r *recovery) run() bool {
	s := r.s
	pause := firstPause
	turn := time.NewTimer(0) // when the next candidate's turn comes
	defer turn.Stop()
	var queue []candidate
	if c, conn := s.takeAnyStandby(); conn != nil {
		turn.Reset(askAside / 2) // for the others to be ready by then
		r.ready = append(r.ready, tried{candidate: c, conn: conn})
	}
	round := 0
	r.deadline = r.begun.Add(s.c.config.Failover.Patience)
	holding := false
	for {
		s.mu.Lock()
		changed, done := s.changed, s.closed || r.e.Done()
		held := s.failed != nil && s.failed.pending()
		given := s.failed != nil && s.failed.over
		s.failed.tried(r.reason)
		s.mu.Unlock()
		if held && !holding {
			holding = true
			r.deadline = s.trouble.hold(time.Now()).Add(s.c.config.Failover.Patience)
			s.holdUntil(r.deadline)
		}
		news := s.c.networks.Changed()
		if done || given || !held && r.speaks() {
			return false
		}
		if why := r.hopeless(queue, held); why != "" {
			s.tellIfHeld(why)
			return false
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
				r.reason = t.err
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
				return false
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
			s.c.networks.AskAll()
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
		case <-changed:
		case <-wake.C:
		}
		wake.Stop()
	}
}

// patience is how long nothing needs to be done if nothing happens.
func (r *recovery) patience(held bool) time.Duration {
	limit := time.Until(r.deadline)
	if held {
		if left := time.Until(r.s.trouble.held.Add(shutFor)); left > 0 {
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
	r.s.mu.Lock()
	lost, answering := r.s.pathLost() != "", r.e.Answered()
	r.s.mu.Unlock()
	if !(r.e.Received() > r.at || r.early && answering) || lost {
		return false
	}
	r.s.c.log.Debug().Str("session", r.s.name()).Msg("it speaks again")
	r.spoke = true
	return true
}

// candidates in the order in which they are tried.
func (r *recovery) candidates() []candidate {
	own, _ := r.s.where()
	var list []candidate
	order := r.s.mayMove(r.refused[candidate{iface: own}] > 0)
	// A server that is silent still accepts connections, and whoever asks it waits in vain: first everything else.
	silent := r.cause == triggerSilent && !r.dead
	for _, iface := range order {
		if iface == own || silent {
			list = append(list, candidate{iface: iface, other: true})
		}
		if iface != own {
			list = append(list, candidate{iface: iface})
		}
	}
	if slices.Contains(order, own) && (!silent || time.Since(r.silent) > 2*silence.Burst) {
		list = append(list, candidate{iface: own})
	}
	return list
}

// out reports whether a candidate is not to be asked any more.
func (r *recovery) out(c candidate) bool {
	return r.refused[c] >= maxRefusals || r.until[c].After(r.deadline) || c.other && r.failed[c] != nil
}

// hopeless says why the program is to be told, "" if it is to be kept waiting.
func (r *recovery) hopeless(queue []candidate, held bool) string {
	now := time.Now()
	if now.After(r.deadline) && !r.renewed(now) {
		return fmt.Sprintf("nothing has helped for %v: %v", r.s.c.config.Failover.Patience, r.reason)
	}
	if held && r.s.released() {
		return "a person has ended the holding"
	}
	if len(r.asking) > 0 || len(r.ready) > 0 {
		return ""
	}
	if r.finished || r.e.Budget.Over(r.e.Received()) {
		return "nothing more may be asked: " + fmt.Sprint(r.reason)
	}
	if !held {
		return ""
	}
	if now.Sub(r.s.trouble.held) >= shutFor && r.shut() {
		return fmt.Sprintf("no server has continued it for %v: %v", shutFor, r.reason)
	}
	if len(queue) > 0 || len(r.refused) == 0 {
		return ""
	}
	for _, n := range r.running {
		if n > 0 {
			return ""
		}
	}
	for _, c := range r.candidates() {
		if !r.out(c) {
			return ""
		}
	}
	return "no candidate continues it: " + fmt.Sprint(r.reason)
}

// shut reports whether the network that the program was on is there, and its server accepts no connections, or only to refuse.
func (r *recovery) shut() bool {
	own, _ := r.s.where()
	c := candidate{iface: own}
	if !slices.Contains(r.s.order(), own) {
		return false
	}
	err := r.failed[c]
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || r.refused[c] > 0 && err == nil
}

// begin starts an attempt to connect, unless enough are under way.
func (r *recovery) begin(c candidate) {
	if r.refused[c] >= maxRefusals || time.Now().Before(r.until[c]) || r.asking[c] != (budget.Place{}) ||
		r.running[c] > 0 && time.Since(r.last[c]) < max(hedge, r.patient[c]) ||
		slices.ContainsFunc(r.ready, func(t tried) bool { return t.candidate == c }) {
		return
	}
	if r.running[c] > 0 {
		r.patient[c] = min(2*max(hedge, r.patient[c]), lastHedge)
	}
	r.running[c]++
	r.last[c] = time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, attemptLimit)
	r.ends[c] = append(r.ends[c], cancel)
	if len(r.ends[c]) > maxHedges {
		r.ends[c][0]()
		r.ends[c] = r.ends[c][1:]
	}
	rt := r.s.destinationFor(c.iface, r.e)
	avoid := netip.AddrPort{}
	if c.other {
		_, avoid = r.s.where()
	}
	alike := r.cause == triggerSilent && !r.dead // the silent server may have an address of the other family as well
	r.s.c.log.Debug().Str("session", r.s.name()).Str("over", c.iface).Bool("other", c.other).Msg("tries to connect")
	go func() {
		defer guard.Recover()
		defer cancel()
		begun := time.Now()
		conn, err := r.s.connectTo(ctx, rt, avoid, c.other && alike)
		r.s.c.log.Debug().Str("session", r.s.name()).Str("over", c.iface).Bool("other", c.other).
			Dur("took", time.Since(begun)).Err(err).Msg("tried to connect")
		r.results <- tried{c, conn, err}
	}()
}

// renewed reports whether a skip has come so far lately that the program's patience lasts.
func (r *recovery) renewed(now time.Time) bool {
	r.deadline = r.nearer.when().Add(r.s.c.config.Failover.Patience)
	r.s.lastUntil(r.deadline)
	return now.Before(r.deadline)
}

// callOff ends the attempts over interfaces that cannot be used any more: what they send when the link comes back may
// be sent too early. What has been asked there is not waited for.
func (r *recovery) callOff() {
	usable := r.s.order()
	for c := range r.asking {
		if !slices.Contains(usable, c.iface) {
			r.quit[c]()
		}
	}
	for c, ends := range r.ends {
		if !slices.Contains(usable, c.iface) {
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
		at := budget.PlaceOf(t.candidate.iface, t.conn)
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
			if a.err = r.s.unshared(ctx); a.err != nil {
				t.conn.Reset()
				return
			}
			a.rest, a.done, a.err = r.s.askOver(ctx, t.candidate.iface, t.conn, r.e, true)
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
	s := r.s
	if a.err != nil {
		return a.err
	}
	from, o := s.end(), a.done
	if o == nil {
		var err error
		if o, err = delivery.Rest(r.ctx, s, r.e, a.rest, channel.Now, 0); err != nil {
			return s.again(err)
		}
	}
	s.record(r.ctx, from, a.candidate.iface, r.cause, o)
	return nil
}

// refuse takes note that a candidate does not continue the exchange, for now or at all.
func (r *recovery) refuse(a answered, err error) {
	r.reason = err
	r.s.c.log.Info().Str("session", r.s.name()).Str("to", a.candidate.iface).Err(err).Msg("not recovered there")
	var no *refusal.Refusal
	r.finished = r.finished || errors.As(err, &no) && no.Spent
	if !resume.Transient(err) && !errors.Is(err, errSpoke) && !r.e.Over() {
		r.refused[a.candidate]++
	}
	r.until[a.candidate] = r.e.Budget.Until(a.place)
}

// confirm has the last word before the program's connection is replaced: a silent one that speaks again stays.
func (r *recovery) confirm() error {
	s := r.s
	s.mu.Lock()
	held := s.failed != nil && s.failed.pending()
	s.mu.Unlock()
	if !held && r.cause == triggerSilent && r.e.Received() > r.at {
		return errSpoke
	}
	return nil
}

// waitParked puts a quiet connection on the descriptor of a program that waits at the gate, which then waits as on a slow
// network, with its own time-outs. The shim keeps the old connection.
func (s *Stream) waitParked(f *failure, e *exchange.Exchange) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	defer s.turn.First()() // only one socket is armed at a time
	quiet := channel.Handover{When: channel.Now, Former: channel.Keep, Anywhere: true}
	s.mu.Lock()
	wanted := s.failed == f && f.held && !f.parked && !s.closed
	begun := e.Answered()
	s.mu.Unlock()
	if !begun {
		quiet.Place = channel.InHead
	}
	if !wanted {
		return
	}
	pair, _, err := s.placePair(ctx, e.Number, quiet, 0)
	if err != nil {
		return // it waits at the gate, for as long as that waits
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == f {
		f.held, f.parked = false, true
		old := s.parked
		s.parked = pair
		if s.tls != nil {
			s.nudge() // a question may have come while it was asleep on the old connection
		}
		if old != nil {
			old.Core.Close()
		}
		return
	}
	pair.Core.Close()
}

// tellIfHeld lets a program that waits see how its connection ended.
func (s *Stream) tellIfHeld(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil && s.failed.pending() {
		s.giveUpHeld(why)
	}
}

// giveUpHeld lets the program see how its connection ended. With s.mu.
func (s *Stream) giveUpHeld(why string) {
	s.failed.over = true
	s.c.log.Info().Str("session", s.name()).Str("why", why).Msg("the program is told of the failure")
	s.publish(control.EventRefused, "not recovered: "+why, map[string]any{"reason": why})
	s.giveUp(int64(s.failed.errno))
}

// drop ends an idle connection for the program, as a server does that closes it.
func (s *Stream) drop(ctx context.Context, last *exchange.Exchange) error {
	pair, _, err := s.placePair(ctx, last.Number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0)
	if err == nil {
		pair.Core.Close()
	}
	return err
}
