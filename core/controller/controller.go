// Package controller has the streams of this process, as the shim's messages tell of them (stream.go), and what is put on their
// descriptors (handover.go). What is done with a stream is in packages of its own, and each asks it for what it needs.
//
// The three verbs for a path are in probe.go, prove.go and handover.go. The way of a migration: a trigger (trigger.go, liaise.go) → package
// migration, whose stream is in migrate.go → a connection over the new interface (reach.go, package reach) → the request for the rest,
// its answer, and the proof that it is the same content (prove.go, package resume) → package delivery → the hand-over. That of a
// recovery: a failure (failover.go), or a silence (stall.go, package sampler) → package recovery, whose stream is in recover.go → as
// above. Relays have theirs in relayed.go, several networks together in together.go.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/allowed"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/detour"
	"midstream/core/guard"
	"midstream/core/holders"
	"midstream/core/liaison"
	"midstream/core/log"
	"midstream/core/manager"
	"midstream/core/netmon"
	"midstream/core/objects"
	"midstream/core/owner"
	"midstream/core/playtime"
	"midstream/core/reach"
	"midstream/core/resolve"
	"midstream/core/sampler"
	"midstream/core/standby"
)

// Shim is what the controller needs of the process beside the channel.
type Shim interface {
	channel.Counters
	// ControlPath tells the shim which socket to unlink when the process exits.
	ControlPath(path string)
	// Looks tells the shim whether the controller looks at the counters by itself, so that exchanges need not be told of.
	Looks(on bool)
	// ByIssuer tells the shim whether the same issuer makes another certificate that of the same server (tls.identity).
	ByIssuer(on bool)
	// End ends the core with all its threads: the shim needs it no more. It does not return.
	End()
	// CallOff tells the shim at once not to carry out a stream's armings up to this number any more.
	CallOff(slot uint32, stream, arming uint64)
}

// Channel carries messages to and from the shim; *channel.Conn does.
type Channel interface {
	Receive() (channel.Message, error)
	Send(m channel.Message, fd int) error
}

// Controller belongs to one process.
type Controller struct {
	control.Hub

	pid      int
	command  string
	config   *config.Config
	wrong    error // the configuration cannot be used: nothing is moved
	channel  Channel
	shim     Shim
	log      zerolog.Logger
	names    resolve.Cache
	holders  holders.Holders
	manager  *manager.Engine
	liaison  *liaison.Liaison
	networks netmon.Monitor
	reach    *reach.Reach
	sampler  *sampler.Sampler
	standbys standby.Count
	detours  *detour.Detours
	objects  objects.Lists
	films    playtime.Clock

	lost    sync.Once // a message to the shim
	mu      sync.Mutex
	streams map[uint64]*Stream // by the shim's id
}

// New makes a controller; Run serves it.
func New(ch Channel, shim Shim, pid int, cfg *config.Config, wrong error, logger zerolog.Logger) *Controller {
	c := &Controller{
		pid:     pid,
		command: owner.Command(),
		config:  cfg,
		wrong:   wrong,
		channel: ch,
		shim:    shim,
		log:     logger,
		manager: manager.New(cfg, time.Now),
		streams: map[uint64]*Stream{},
	}
	c.reach = reach.New(cfg, c.manager, &allowed.Rules{Config: cfg, Networks: &c.networks}, &c.names)
	c.detours = detour.New(cfg, c.reach)
	c.liaison = liaison.New(process{c}, c.manager, &c.networks, pid, c.command, logger)
	c.sampler = sampler.New(process{c})
	return c
}

// Start reads the configuration, opens log and control socket, and serves the process until the channel ends.
func Start(ch Channel, shim Shim, pid int) {
	cfg, wrong := config.Load(config.Find())
	if wrong != nil {
		cfg = config.Default()
	}
	logger, _, err := log.Open(os.Getenv(log.EnvLevel), os.Getenv(log.EnvFile))
	if err != nil && wrong == nil {
		wrong = err
	}
	if wrong != nil {
		logger.Error().Err(wrong).Msg("nothing will be moved")
	}
	shim.ByIssuer(cfg.TLS.Identity == config.IdentityIssuer)
	c := New(ch, shim, pid, cfg, wrong, logger)
	guard.OnPanic(func(value any, stack []byte) {
		logger.Error().Str("panic", fmt.Sprint(value)).Bytes("stack", stack).Msg("a mistake of Midstream's: nothing will be moved any more")
		if closer, ok := ch.(io.Closer); ok {
			closer.Close() // the shim leaves every stream alone
		}
	})
	guard.Go(func() {
		if err := control.Serve(c, pid, shim.ControlPath); err != nil {
			logger.Error().Err(err).Msg("the control socket failed")
		}
	})
	guard.Go(func() { c.liaison.Serve(context.Background()) })
	guard.Go(func() {
		if c.Run() {
			shim.End()
		}
	})
}

// Run handles the shim's messages until the channel ends. True: the shim has ended it.
func (c *Controller) Run() bool {
	for {
		m, err := c.channel.Receive()
		if err != nil {
			ended := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
			if !ended {
				c.log.Error().Err(err).Msg("the channel to the shim failed")
			}
			return ended
		}
		c.handle(m)
	}
}

func (c *Controller) handle(m channel.Message) {
	switch m.Kind {
	case channel.Name:
		if name, addrs := channel.ParseName(m.Data); name != "" {
			c.names.Add(name, addrs)
		}
		return
	case channel.DNS:
		c.names.AddMessage(m.Data)
		return
	case channel.Opened:
		c.open(m)
		return
	}
	c.mu.Lock()
	s := c.streams[m.Stream]
	if m.Kind == channel.Closed {
		delete(c.streams, m.Stream)
	}
	c.mu.Unlock()
	if s == nil {
		switch {
		case m.Kind == channel.Closed:
			c.send(channel.Message{Kind: channel.Release, Slot: m.Slot, Stream: m.Stream}, -1)
		case m.Kind == channel.Failed && m.Flags&channel.Held != 0: // it was guarded before there was a core to ask
			c.send(channel.Message{Kind: channel.GiveUp, Slot: m.Slot, Stream: m.Stream, A: m.A}, -1)
		}
		return
	}
	s.handle(m)
}

func (c *Controller) open(m channel.Message) {
	o, err := channel.ParseOpening(m.Data)
	if err != nil {
		c.log.Error().Err(err).Msg("an opening was not understood")
		return
	}
	if !c.config.Failover.Enabled {
		c.shim.Guard(m.Slot, m.Stream, channel.GuardNone)
	}
	if c.pointless() {
		return // the shim's later messages about it are passed over
	}
	s := newStream(c, m, o)
	s.join()
	c.mu.Lock()
	c.streams[m.Stream] = s
	c.mu.Unlock()
	c.log.Debug().Str("session", s.name()).Int("fd", o.FD).Stringer("peer", o.Peer).Msg("opened")
	c.liaison.LookSoon()
	s.publish(control.EventOpened, "connected to "+o.Peer.String()+" over "+s.iface, nil)
	if s.ftp != nil && !o.Dialogue {
		s.ftp.Attach(transfer{s})
	}
}

func (c *Controller) send(m channel.Message, fd int) error {
	err := c.channel.Send(m, fd)
	if err != nil {
		c.lost.Do(func() {
			c.log.Error().Err(err).Uint16("kind", uint16(m.Kind)).Msg("a message to the shim was lost, and more may follow")
		})
	}
	return err
}

// all returns the streams, those of one session only unless session is empty.
func (c *Controller) all(session string) []*Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*Stream, 0, len(c.streams))
	for _, s := range c.streams {
		if (session == "" || s.name() == session) && !(s.opened.Dialogue && s.ftp.Unseen().None()) {
			list = append(list, s)
		}
	}
	return list
}

func (c *Controller) sessionName(id uint64) string {
	return strconv.Itoa(c.pid) + "-" + strconv.FormatUint(id, 10)
}
