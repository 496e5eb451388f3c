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
	"strings"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/relay"
)

const (
	stagger      = 3 * time.Millisecond   // between the beginnings of attempts on different candidates
	attemptLimit = 5 * time.Second        // for one attempt to connect
	hedge        = 120 * time.Millisecond // after so long a candidate is tried once more: the first packets may be lost
	lastHedge    = time.Second            // the same for later ones, by doubling
	maxHedges    = 4                      // attempts on one candidate at once; the oldest gives way
	firstPause   = 60 * time.Millisecond  // before all candidates are tried anew, doubled up to lastPause
	lastPause    = 2 * time.Second
	settle       = 30 * time.Millisecond  // after news of a network: the first packet on a new link is worth a second if lost
	noPause      = 80 * time.Millisecond  // while no network is there at all
	fruitful     = 16 << 10               // octets that a recovery has to have brought, or the next one begins with a pause
	maxRefusals  = 3                      // answers of one candidate that do not continue the exchange
	firstAnswer  = 150 * time.Millisecond // for the first candidate of a silent stream to answer
	firstContent = 2 * time.Second
)

// candidate is a way to continue: over an interface, at another server than the present one or at any.
type candidate struct {
	iface string
	other bool
}

// attempt is one connection being made to a candidate.
type tried struct {
	candidate candidate
	conn      *dial.Conn
	err       error
}

// recovery is one run of recover.
type recovery struct {
	s       *Stream
	e       *exchange
	cause   string
	at      int64 // content octets the program had when it began
	ctx     context.Context
	results chan tried
	running map[candidate]int
	last    map[candidate]time.Time // when an attempt was begun last
	patient map[candidate]time.Duration
	ends    map[candidate][]context.CancelFunc // of the attempts, the oldest first
	refused map[candidate]int
	early   bool  // the program had nothing of the response
	late    int   // servers that did not answer in time
	reason  error // why the last attempt failed
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
	s.flow.restart()
	s.mu.Unlock()
	if again {
		// It failed anew after the recovery had looked for the last time.
		guard.Go(func() { s.recover(cause) })
	}
}

// recoverOnce reports whether it has to be repeated.
func (s *Stream) recoverOnce(cause string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.takeMoving(ctx)
	defer func() { <-s.moving }()
	s.mu.Lock()
	e := s.current()
	needed := e != nil && e.request != nil && !s.closed && s.why() == "" &&
		(s.failed != nil && s.failed.pending() || cause == triggerPath && s.pathLost() != "" || cause == triggerSilent && s.received(e) == s.flow.received)
	since := s.flow.heard
	early := e != nil && e.response == nil
	if cause == triggerSilent && s.flow.waiting && !early {
		needed = s.failed != nil && s.failed.pending() // it has been answered meanwhile
	}
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
	s.forgetAttempts()
	r := &recovery{
		s: s, e: e, cause: cause, at: s.received(e), ctx: ctx, early: early,
		results: make(chan tried, 64),
		running: map[candidate]int{}, last: map[candidate]time.Time{},
		patient: map[candidate]time.Duration{}, ends: map[candidate][]context.CancelFunc{}, refused: map[candidate]int{},
	}
	// A server that always ends after a few octets is not asked without a pause.
	if brought := r.at - s.recoveredAt; brought >= 0 && brought < fruitful {
		s.fruitless++
	} else {
		s.fruitless = 0
	}
	s.recoveredAt = r.at
	if s.fruitless > 1 && !s.unlessOver(e, nil, nil, min(firstPause<<min(s.fruitless, 8), lastPause)) {
		s.tellIfHeld("the exchange cannot be moved any more")
		return false
	}
	s.publish(control.EventFailure, cause, map[string]any{"cause": cause})
	s.confirm = r.confirm
	defer func() { s.confirm = nil }()
	defer r.drain()
	again := r.run()
	if cause == triggerSilent {
		s.mu.Lock()
		s.flow.alarmed(since, s.received(e) > r.at && !s.flow.moved)
		s.mu.Unlock()
	}
	return again
}

// run tries the candidates until one delivers, the old connection does, or patience ends.
func (r *recovery) run() bool {
	s := r.s
	deadline := time.NewTimer(s.c.config.Failover.Patience)
	defer deadline.Stop()
	pause := firstPause
	turn := time.NewTimer(0) // when the next candidate's turn comes
	defer turn.Stop()
	var queue []candidate
	if iface, conn := s.takeAnyStandby(); conn != nil {
		turn.Stop()
		r.results <- tried{candidate: candidate{iface: iface}, conn: conn}
		r.running[candidate{iface: iface}]++
	}
	round := 0
	for {
		s.mu.Lock()
		changed, done := s.changed, s.closed || r.e.done
		held := s.failed != nil && s.failed.pending()
		given := s.failed != nil && s.failed.over
		s.mu.Unlock()
		news := s.c.paths.news()
		switch {
		case done || given:
			return false
		case !held && r.cause == triggerPath && r.pathBack():
			return false
		case !held && r.cause == triggerSilent && r.early && (r.late > len(r.elsewhere(r.candidates())) || r.answered()):
			return false // whoever thinks for so long is not to be asked again and again
		case !held && r.cause == triggerSilent && s.received(r.e) > r.at:
			s.c.log.Debug().Str("session", s.name()).Msg("it speaks again")
			return false
		case held && r.hopeless(queue):
			s.tellIfHeld("no candidate continues it: " + fmt.Sprint(r.reason))
			return false
		}
		select {
		case t := <-r.results:
			r.running[t.candidate]--
			if t.conn == nil {
				r.reason = t.err
				if len(queue) > 0 {
					turn.Reset(0)
				}
				continue
			}
			err := r.take(t)
			if err == nil {
				return false
			}
			r.reason = err
			s.c.log.Info().Str("session", s.name()).Str("to", t.candidate.iface).Err(err).Msg("not recovered there")
			if errors.Is(err, errSpoke) && r.cause == triggerSilent {
				return false
			}
			turn.Reset(0)
		case <-turn.C:
			if len(queue) == 0 {
				if round > 0 {
					pause = min(2*pause, lastPause)
				}
				queue = r.candidates()
				if others := r.elsewhere(queue); r.cause == triggerSilent && round == 0 && len(others) > 0 {
					// A server that has frozen still accepts connections, and whoever asks it waits in vain.
					queue = others
				}
				round++
			}
			s.c.paths.askAll()
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
		case <-deadline.C:
			s.tellIfHeld(fmt.Sprintf("nothing has helped for %v: %v", s.c.config.Failover.Patience, r.reason))
			return false
		}
	}
}

// answered reports whether the old connection has begun to answer after all.
func (r *recovery) answered() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.e.response != nil
}

// pathBack reports whether the old connection delivers again, or may.
func (r *recovery) pathBack() bool {
	r.s.mu.Lock()
	lost := r.s.pathLost()
	r.s.mu.Unlock()
	return lost == "" && r.s.received(r.e) > r.at
}

// candidates in the order in which they are tried.
func (r *recovery) candidates() []candidate {
	own, _ := r.s.where()
	var list []candidate
	order := r.s.mayMove(r.refused[candidate{iface: own}] > 0)
	for _, iface := range order {
		list = append(list, candidate{iface: iface, other: iface == own})
	}
	for _, iface := range order {
		if iface == own {
			list = append(list, candidate{iface: iface})
		}
	}
	return list
}

// elsewhere are the candidates over other interfaces than the present one.
func (r *recovery) elsewhere(list []candidate) (others []candidate) {
	own, _ := r.s.where()
	for _, c := range list {
		if c.iface != own {
			others = append(others, c)
		}
	}
	return others
}

// hopeless reports that every candidate has been reached, and none continues the exchange.
func (r *recovery) hopeless(queue []candidate) bool {
	if len(queue) > 0 || len(r.refused) == 0 {
		return false
	}
	for _, n := range r.running {
		if n > 0 {
			return false
		}
	}
	for _, c := range r.candidates() {
		if !c.other && r.refused[c] < maxRefusals {
			return false
		}
	}
	return true
}

// begin starts an attempt to connect, unless enough are under way.
func (r *recovery) begin(c candidate) {
	if r.refused[c] >= maxRefusals || r.running[c] > 0 && time.Since(r.last[c]) < max(hedge, r.patient[c]) {
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
	rt := r.s.target(c.iface, r.e)
	avoid := netip.AddrPort{}
	if c.other {
		_, avoid = r.s.where()
	}
	r.s.c.log.Debug().Str("session", r.s.name()).Str("over", c.iface).Bool("other", c.other).Msg("tries to connect")
	go func() {
		defer guard.Recover()
		defer cancel()
		begun := time.Now()
		conn, err := r.s.connect(ctx, rt, avoid)
		r.s.c.log.Debug().Str("session", r.s.name()).Str("over", c.iface).Bool("other", c.other).
			Dur("took", time.Since(begun)).Err(err).Msg("tried to connect")
		r.results <- tried{c, conn, err}
	}()
}

// callOff ends the attempts over interfaces that cannot be used any more: what they send when the link comes back may
// be sent too early.
func (r *recovery) callOff() {
	usable := r.s.order()
	for c, ends := range r.ends {
		if !slices.Contains(usable, c.iface) {
			for _, end := range ends {
				end()
			}
			delete(r.ends, c)
		}
	}
}

// drain closes what arrives too late.
func (r *recovery) drain() {
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

// take asks for the rest over a connection that has been made, and hands it over.
func (r *recovery) take(t tried) error {
	s := r.s
	s.lend(t.candidate.iface, t.conn)
	defer s.lendNone()
	// A program that waits at the gate must not wait for a server that does not answer: it is parked by then.
	limit := max(time.Second, 8*t.conn.RTT()) << min(r.late, 3)
	if r.cause == triggerSilent && r.late == 0 && !r.early {
		limit = max(firstAnswer, 5*t.conn.RTT())
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	from := s.end()
	o, err := s.continueOn(ctx, t.candidate.iface, r.e)
	if err == nil {
		s.record(ctx, from, t.candidate.iface, r.cause, o)
		return nil
	}
	if s.isOver(r.e) || errors.Is(err, errSpoke) {
		return err
	}
	if ctx.Err() != nil {
		r.late++
	}
	if !transient(err) {
		r.refused[candidate{iface: t.candidate.iface}]++
	}
	return err
}

// transient reports whether the same server may answer otherwise in a while.
func transient(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) || errors.Is(err, errAgain) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(err.Error(), "answered 5") || strings.Contains(err.Error(), "in time")
}

// continueOn continues the exchange over the interface from where the program stands.
func (s *Stream) continueOn(ctx context.Context, iface string, e *exchange) (*outcome, error) {
	if err := s.unshared(ctx); err != nil {
		return nil, err
	}
	return s.takeOver(ctx, iface, e)
}

// confirm has the last word before the program's connection is replaced: the new one has to have delivered content,
// and a silent one that speaks again stays.
func (r *recovery) confirm(conn *dial.Conn, flags channel.Flags) error {
	if flags&channel.Relay == 0 {
		conn.SetReadDeadline(time.Now().Add(max(firstContent, 4*conn.RTT())))
		defer conn.SetReadDeadline(time.Time{})
		var first [1]byte
		if _, err := conn.Peek(first[:]); err != nil {
			return fmt.Errorf("the new server sends no content: %w", err)
		}
	}
	s := r.s
	s.mu.Lock()
	held := s.failed != nil && s.failed.pending()
	s.mu.Unlock()
	if !held && r.cause == triggerSilent && s.received(r.e) > r.at {
		return errSpoke
	}
	return nil
}

// waitParked puts a quiet connection on the descriptor of a program that waits at the gate, which then waits as on a slow
// network, with its own time-outs. The shim keeps the old connection.
func (s *Stream) waitParked(f *failure, e *exchange) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	pair, err := relay.NewPair(s.opened.Domain)
	if err != nil {
		return // it waits at the gate, for as long as that waits
	}
	defer s.preempt()() // only one socket is armed at a time
	flags := channel.Now | channel.Relay | channel.Keep
	s.mu.Lock()
	wanted := s.failed == f && f.held && !f.parked && !s.closed
	begun := e.response != nil
	s.mu.Unlock()
	if !begun {
		flags |= channel.InHead
	}
	if !wanted {
		pair.Close()
		return
	}
	if err := s.arm(pair.Program, e.number, 0, flags); err != nil {
		pair.Close()
		return
	}
	pair.Program.Close()
	if _, err := s.awaitReply(ctx, 0); err != nil {
		pair.Core.Close()
		return
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
func (s *Stream) drop(ctx context.Context, last *exchange) error {
	pair, err := relay.NewPair(s.opened.Domain)
	if err != nil {
		return err
	}
	defer pair.Core.Close()
	defer pair.Program.Close()
	if err := s.arm(pair.Program, last.number, last.received.Load(), channel.Now|channel.AtEnd|channel.Relay); err != nil {
		return err
	}
	_, err = s.awaitReply(ctx, 0)
	return err
}
