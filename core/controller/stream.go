// One tracked TCP connection of the program: its exchanges, its place, its migrations.
package controller

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/digest"
	"midstream/core/exchange"
	"midstream/core/ftp"
	"midstream/core/guard"
	"midstream/core/migration"
	"midstream/core/owner"
	"midstream/core/playtime"
	"midstream/core/reason"
	"midstream/core/standby"
	"midstream/core/together"
	"midstream/core/turn"
	"midstream/core/twin"
)

// maxMigrations is how many migrations are remembered, the last ones.
const maxMigrations = 64

// Stream is one connection of the program. The shim's messages change it, in their order, from one goroutine;
// migrations read it and wait for changes. What it knows is in small structures, each beside the rule that it is for.
type Stream struct {
	c      *Controller
	id     uint64
	slot   uint32
	opened channel.Opening
	owner  owner.Owner

	// turn is about who may change what is on the descriptor.
	turn *turn.Turn
	// decided is held while a decision of the manager's is carried out.
	decided sync.Mutex
	need    // recover.go
	twins   *twin.Twins
	standby *standby.Keeper
	mover   *migration.Mover
	feeding *together.Feeding
	ftp     *ftp.Control // ftp.go; nil where it is HTTP

	mu        sync.Mutex
	changed   chan struct{}        // closed and replaced at every change
	exchanges []*exchange.Exchange // requests not yet answered in full, in order; the first is being answered
	last      *exchange.Exchange   // the last one that is done
	received  uint64               // exchanges whose responses have been received to their end
	bound     bool                 // a request has authenticated the connection (RFC 4559 §6)
	left      reason.Reason        // why it is left alone
	closed    bool
	tls       *twin.Session // nil where HTTP is in the clear
	info      *channel.Message
	// Where it is.
	iface         string
	server, local netip.AddrPort
	foreign       bool // server is of another name
	migrating     bool
	history       []control.Migration

	descriptor // handover.go
	plight     // failover.go
	pulse      // stall.go
	wanted     // preferred.go
	word       // allowed.go
}

func newStream(c *Controller, m channel.Message, o channel.Opening) *Stream {
	s := &Stream{
		c: c, id: m.Stream, slot: m.Slot, opened: o, owner: owner.Of(o, c.pid, c.command),
		changed:    make(chan struct{}),
		server:     o.Peer,
		local:      o.Local,
		descriptor: descriptor{arming: make(chan struct{}, 1), resumed: -1},
	}
	s.mover = migration.New(moved{s}, c.config)
	s.feeding = together.New(fed{moved{s}}, s.mover, c.config)
	s.standby = standby.New(s, c.config.Failover.Standby, &c.standbys)
	s.twins = twin.Of(c.send, s.message)
	s.turn = turn.New(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.change()
	})
	if name, ok := c.networks.Owner(o.Local.Addr()); ok {
		s.iface = name
	}
	return s
}

// counted are the shim's counters of a stream.
type counted struct{ s *Stream }

// Read implements exchange.Counters.
func (c counted) Read() (channel.Snapshot, bool) { return c.s.c.shim.Read(c.s.slot, c.s.id) }

// Tail implements exchange.Counters.
func (c counted) Tail(exchange uint64, end int64, limit int) []byte {
	return c.s.c.shim.Tail(c.s.slot, c.s.id, exchange, end, limit)
}

// Digest implements exchange.Counters.
func (c counted) Digest(exchange uint64) (int64, digest.Digest, bool) {
	return c.s.c.shim.Digest(c.s.slot, c.s.id, exchange)
}

func (s *Stream) name() string { return s.c.sessionName(s.id) }

// message addresses one to this stream.
func (s *Stream) message(kind channel.Kind) channel.Message {
	return channel.Message{Kind: kind, Slot: s.slot, Stream: s.id}
}

func (s *Stream) publish(kind, text string, fields map[string]any) {
	s.c.Publish(control.Event{At: control.Now(), Kind: kind, PID: s.owner.PID, Session: s.name(), Text: text, Fields: fields})
}

// handle takes the shim's messages, in order.
func (s *Stream) handle(m channel.Message) {
	if m.Kind == channel.Dialogue && s.opened.Dialogue {
		s.ftp.Say(m.A == 1, m.Data) // without the lock: it concerns its data connection's stream
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.change()
	defer s.guard()
	switch m.Kind {
	case channel.Request:
		e := s.exchange(m.Exchange)
		if e == nil {
			e = exchange.New(m.Exchange, s.tls != nil, s.c.config.Migration.Proof, counted{s})
			e.Clear = s.tls != nil && s.tls.Clear
			s.exchanges = append(s.exchanges, e)
		}
		e.AddRequest(m.Data, m.Flags&channel.Last != 0)
		s.c.sampler.Wake()
		if m.Flags&channel.Last != 0 {
			if e.Asked() && e.Request.BoundToConnection() {
				s.bound = true
			}
			if s.bound {
				e.Refuse(reason.AuthBound.Alone())
			}
			s.publish(control.EventExchange, "request for "+e.URL(s.host()), nil)
		}
	case channel.Response:
		e := s.exchange(m.Exchange)
		if e == nil {
			return
		}
		e.AddAnswer(m.Data)
		if m.Flags&channel.Interim != 0 {
			e.EndInterim()
		} else if m.Flags&channel.Last != 0 {
			e.EndHead(channel.Phase(m.A), m.B)
			s.c.detours.Redirected(e, s.opened.Peer.String())
			if playtime.Of(e.Response, e.URL("")) {
				guard.Go(func() { playtime.Follow(e, &s.c.films, s.film(e)) })
			}
			movable := e.Why().None()
			if movable && (e.Live() != nil || s.c.detours.AreNamed(e, s.opened.Peer.String())) {
				s.c.shim.Keep(s.slot, s.id, true) // nothing else will prove that another server has the same
			}
			if movable && e.Live() != nil {
				guard.Go(e.Follow)
			} else if s.feeding.Wanted() && movable {
				guard.Go(func() { s.feeding.Gather(e) })
			}
		}
	case channel.Stirs:
		s.c.sampler.Wake()
	case channel.TrailerOctets:
		if e := s.exchange(m.Exchange); e != nil {
			e.AddTrailer(m.Data)
		}
	case channel.Done:
		s.done(m)
	case channel.Left:
		s.left, _ = reason.Parse(m.Data)
		if s.opened.Dialogue {
			s.ftp.Leave(s.left)
		}
		s.c.log.Debug().Str("session", s.name()).Str("why", s.left.Error()).Msg("left alone")
	case channel.Closed:
		s.closed = true
		s.countObjects(uint64(m.B))
		s.twins.Close()
		for _, e := range s.exchanges {
			e.Close()
		}
		if s.pair != nil {
			s.pair.Core.Close()
			s.pair = nil
		}
		if s.parked != nil {
			s.parked.Core.Close()
			s.parked = nil
		}
		if s.opened.Dialogue {
			s.ftp.Close()
		} else if s.ftp != nil {
			s.ftp.Ends(transfer{s})
		}
		s.publish(control.EventClosed, "closed", nil)
		s.c.send(s.message(channel.Release), -1)
	case channel.Failed:
		s.fail(m)
	case channel.Moved:
		s.moves++
		s.shut, s.bounded = m.B != 0, false
		if s.moved(m) && s.answers(m) {
			s.reply = &m
			s.waiting = nil
			for _, e := range s.exchanges {
				if e.Number > m.Exchange {
					s.waiting = e.AppendRequest(s.waiting)
				}
			}
		}
	case channel.Unmoved:
		if s.answers(m) {
			s.reply = &m
		}
	case channel.Info:
		s.info = &m
		s.heed(m)
	case channel.TLS:
		s.tls = twin.ParseSession(m)
	case channel.TwinAsks:
		s.twins.Deliver(m)
		s.showQuestion()
	case channel.TwinReady, channel.TwinFailed, channel.TwinOctets, channel.TwinSkipped:
		s.twins.Deliver(m)
	case channel.Resumed:
		s.resumed = time.Duration(m.A)
		if n := len(s.history); n > 0 && s.history[n-1].StallMS == 0 {
			s.history[n-1].StallMS = control.Milliseconds(s.resumed)
		}
	}
}

func (s *Stream) done(m channel.Message) {
	for i, e := range s.exchanges {
		if e.Number != m.Exchange {
			continue
		}
		e.End(m.A)
		s.last = e
		s.countObjects(m.Exchange - 1)
		s.received = m.Exchange
		url := e.URL(s.host())
		n := s.c.objects.Add(s.owner.PID, url, m.A)
		s.exchanges = append(s.exchanges[:i:i], s.exchanges[i+1:]...)
		s.publish(control.EventDone, "received all of "+url, map[string]any{"received": m.A, "objects": n})
		break
	}
	if s.ftp != nil {
		s.ftp.Ends(transfer{s})
		return // its data connection is of no use for another
	}
	if s.current() == nil && s.pathLost() != "" {
		// While the response was still being read the loss concerned that. Nobody will tell of it again.
		guard.Go(s.lookAtPath)
	}
}

// countObjects takes that so many exchanges of the stream's are over, of some of which the core has not been told. With s.mu.
func (s *Stream) countObjects(over uint64) {
	if over > s.received {
		s.c.objects.Count(s.owner.PID, int64(over-s.received))
		s.received = over
	}
}

// change wakes everyone who waits for one. With s.mu.
func (s *Stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Stream) exchange(number uint64) *exchange.Exchange {
	for _, e := range s.exchanges {
		if e.Number == number {
			return e
		}
	}
	return nil
}

// answers reports whether the message is about the last arming. An answer that nobody waits for any more comes where the
// program has not called the shim for long. With s.mu.
func (s *Stream) answers(m channel.Message) bool {
	if m.Arming != s.armings {
		s.c.log.Debug().Str("session", s.name()).Uint64("arming", m.Arming).Uint16("kind", uint16(m.Kind)).Msg("a late answer")
	}
	return m.Arming == s.armings
}

// current returns the exchange being answered, nil between exchanges. With s.mu.
func (s *Stream) current() *exchange.Exchange {
	if len(s.exchanges) == 0 {
		return nil
	}
	return s.exchanges[0]
}

// why says why the stream cannot be moved now, if it cannot. With s.mu.
func (s *Stream) why() reason.Reason {
	switch e := s.current(); {
	case s.c.wrong != nil:
		return reason.ConfigWrong.With(s.c.wrong)
	case s.closed:
		return reason.Closed.Alone()
	case s.left.Why != 0:
		return s.left
	case !s.opened.Peer.IsValid():
		return reason.NoServer.Alone()
	case s.failed != nil && !s.failed.pending() && e != nil:
		return reason.Ended.Alone()
	case s.opened.Dialogue:
		return s.ftp.Unseen()
	case s.ftp != nil && e != nil && !s.ftp.Why(transfer{s}).None():
		return s.ftp.Why(transfer{s})
	case s.ftp != nil && e == nil && s.last != nil:
		return reason.ExchangeEnded.Alone()
	case s.tls != nil && !s.tls.Movable:
		return reason.TwinNotCaptured.Alone()
	case e == nil && s.last == nil:
		return reason.NotAsked.Alone()
	case e == nil:
		return reason.Reason{}
	case !e.Immovable().None():
		return e.Immovable()
	case !s.excluded(e).None():
		return s.excluded(e)
	}
	for _, later := range s.exchanges[1:] {
		if why := later.Immovable(); !why.None() {
			return reason.LaterRequest.With(why)
		}
	}
	return reason.Reason{}
}

// session describes the stream for lists.
func (s *Stream) session() control.Session {
	paths := s.feeding.Paths()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := control.Session{
		ID: s.name(), PID: s.owner.PID, FD: s.owner.FD, Command: s.owner.Command, Via: s.owner.Via,
		Interface: s.iface, Server: s.server.String(),
		State: control.StateIdle, Why: s.why().Error(),
		Migrations: append([]control.Migration(nil), s.history...),
		Paths:      paths,
		Objects:    s.c.objects.Of(s.owner.PID),
	}
	if needed := s.tls.Needed(s.c.config.TLS.Identity == config.IdentityIssuer); out.Why == "" {
		if out.Movable = true; needed != "" {
			out.Why = "only to " + needed
		}
	}
	out.TLS = describeTLS(s.tls)
	out.Held, out.Kept = s.failed.describe(s.kept), s.kept
	e := s.current()
	if e != nil {
		out.State = control.StateActive
	} else {
		e = s.last
	}
	if e != nil {
		out.URL = e.URL(s.host())
		out.Received, out.Play = e.Received(), s.play(e)
		if n := e.Length(); n >= 0 {
			out.Length = &n
		}
	} else {
		out.URL = s.tls.URL(s.opened.Peer.Port())
	}
	switch {
	case s.migrating:
		out.State = control.StateMigrating
	case s.closed || s.failed != nil && !s.failed.pending():
		out.State = control.StateDone
	}
	return out
}

// film names the film that an exchange is of: two processes that a supervisor carries may play the same.
func (s *Stream) film(e *exchange.Exchange) string {
	return strconv.Itoa(s.owner.PID) + " " + e.URL(s.opened.Peer.String())
}

// play is how it stands, nil where that is not known. With s.mu.
func (s *Stream) play(e *exchange.Exchange) *control.Play {
	unread := time.Duration(0)
	if s.flow.Unread {
		unread = time.Since(s.flow.Heard)
	}
	return s.c.films.Describe(s.film(e), unread)
}

// remember notes a migration. With s.mu.
func (s *Stream) remember(m control.Migration) {
	if len(s.history) == maxMigrations {
		s.history = append(s.history[:0:0], s.history[1:]...)
	}
	s.history = append(s.history, m)
}
