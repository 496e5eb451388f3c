// Who is decided for together: all processes of a user's daemon; of the host's daemon, those of one user. What a user's
// processes report holds for that user alone, and one user's processes cannot take the memory or the time of all.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/manager"
	"midstream/core/netif"
)

// Bounds for each user. With each stream's texts and the connections (control.Server.Serves), that is some tens of megabytes.
const (
	maxProcesses = 1024     // further ones decide by themselves
	maxStreams   = 8192     // of all its processes; further ones are left where they are
	maxReports   = 400      // a second; a process sends one a second, and another when something happens
	maxCaptive   = 64       // interfaces, of one process
	maxMessages  = 16 << 20 // octets of requests that are being received or answered
	maxAll       = 4        // times as much for all users together
	maxQueued    = 64       // notifications that a process is behind
	maxText      = 256      // octets of a text, as processes cut them
	maxName      = 64       // of a name
	maxSession   = 32       // of a session's
)

// party is what is decided for together. Its engine is safe by itself, the rest is guarded by the daemon's mu.
type party struct {
	uid     int
	engine  *manager.Engine
	clients map[int]*client // by process
	streams int             // of all clients
	second  time.Time       // in which so many reports have come
	reports int
	told    bool // that there is too much
}

// client is a process that has attached.
type client struct {
	pid     int
	party   *party
	peer    *control.Peer
	captive map[string]bool
	streams int
	facts   string // sent last
	queue   chan notification
}

type notification struct {
	method string
	params any
}

// newParty makes a party whose engine knows what the daemon knows. With d.mu, but before it serves.
func (d *daemon) newParty(uid int, cfg *config.Config) *party {
	p := &party{uid: uid, engine: manager.New(cfg, time.Now), clients: map[int]*client{}}
	p.engine.Links(slices.Clone(d.links))
	p.engine.Direct(d.directives)
	p.engine.Facts(d.facts(p))
	return p
}

// partyOf returns the party of the user; nil if that has no process here. With d.mu.
func (d *daemon) partyOf(uid int) *party {
	if !d.host {
		return d.common
	}
	return d.parties[uid]
}

// all returns the parties there are, the common one first.
func (d *daemon) all() []*party {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []*party{d.common}
	for _, uid := range slices.Sorted(maps.Keys(d.parties)) {
		list = append(list, d.parties[uid])
	}
	return list
}

// engineFor is the engine that knows what the peer's user may know.
func (d *daemon) engineFor(p *control.Peer) *manager.Engine {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.partyOf(p.UID()); own != nil {
		return own.engine
	}
	return d.common.engine
}

var errAttached = errors.New("attach: it has attached on this connection already")

// join takes a process in. With d.mu.
func (d *daemon) join(c *client, uid int) error {
	p := d.partyOf(uid)
	if p == nil {
		p = d.newParty(uid, d.config)
		d.parties[uid] = p
	}
	if p.clients[c.pid] == nil && len(p.clients) >= maxProcesses {
		return fmt.Errorf("attach: %d processes of user %d have attached already; this one decides by itself", maxProcesses, uid)
	}
	if old := p.clients[c.pid]; old != nil {
		if old.peer.Same(c.peer) {
			return errAttached
		}
		p.streams -= old.streams
	}
	c.party = p
	p.clients[c.pid] = c
	return nil
}

// leave forgets a process, and its party with the last one.
func (d *daemon) leave(c *client) {
	d.mu.Lock()
	current := c.party.clients[c.pid] == c
	if current {
		delete(c.party.clients, c.pid)
		c.party.streams -= c.streams
		if d.host && len(c.party.clients) == 0 {
			delete(d.parties, c.party.uid)
		}
	}
	d.mu.Unlock()
	if current {
		c.party.engine.Gone(c.pid)
		d.log.Debug().Int("pid", c.pid).Msg("gone")
	}
}

// facts are what the bus, files and the party's processes say. With d.mu.
func (d *daemon) facts(p *party) map[string]manager.Fact {
	all := map[string]manager.Fact{}
	for _, i := range informants {
		manager.Merge(all, d.heard[i.name])
	}
	manager.Merge(all, d.files)
	for _, c := range p.clients {
		for name, captive := range c.captive {
			if captive {
				manager.Merge(all, map[string]manager.Fact{name: {Captive: true}})
			}
		}
	}
	return all
}

// admit bounds a report, and cuts its texts; false where it is not to be taken at all. What is too much is told once.
func (d *daemon) admit(c *client, r *manager.Reported) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := c.party
	if now := time.Now(); now.Sub(p.second) >= time.Second {
		p.second, p.reports = now, 0
	}
	if p.reports++; p.reports > maxReports {
		d.tooMuch(p, fmt.Sprintf("more than %d reports a second", maxReports))
		return false
	}
	r.Streams, r.Samples = ownStreams(r.PID, r.Streams, r.Samples)
	room := max(maxStreams-(p.streams-c.streams), 0)
	if len(r.Streams) > room {
		d.tooMuch(p, fmt.Sprintf("more than %d streams", maxStreams))
		r.Streams = slices.Clone(r.Streams[:room])
	}
	p.streams += len(r.Streams) - c.streams
	c.streams = len(r.Streams)
	c.captive = map[string]bool{}
	for name, captive := range r.Captive {
		known := slices.ContainsFunc(d.links, func(i netif.Interface) bool { return i.Name == name })
		if captive && known && len(c.captive) < maxCaptive {
			c.captive[name] = true
		}
	}
	return true
}

// tooMuch tells once what a user has too much of. With d.mu.
func (d *daemon) tooMuch(p *party, what string) {
	if !p.told {
		p.told = true
		d.log.Warn().Int("user", p.uid).Msg("what is too much is not looked at: " + what + " of one user's processes")
	}
}

// ownStreams leaves those of the process, as a process describes them, with their samples as far as there are any.
func ownStreams(pid int, all []manager.Stream, of []manager.Sample) (own []manager.Stream, samples []manager.Sample) {
	prefix := strconv.Itoa(pid) + "-"
	for i, s := range all {
		if s.PID != pid || !strings.HasPrefix(s.ID, prefix) || len(s.ID) > maxSession || len(s.Interface) > maxName || len(s.Server) > maxName {
			continue
		}
		for _, text := range []*string{&s.Command, &s.URL, &s.Host, &s.Why} {
			if len(*text) > maxText {
				*text = strings.ToValidUTF8((*text)[:maxText], "")
			}
			*text = strings.Clone(*text) // not a part of the message
		}
		own = append(own, s)
		if i < len(of) {
			samples = append(samples, of[i])
		} else {
			samples = append(samples, manager.Sample{})
		}
	}
	return own, samples
}

// notify sends a notification without waiting for the process; one that does not take what it is sent loses its connection.
func (c *client) notify(method string, params any) bool {
	select {
	case c.queue <- notification{method, params}:
		return true
	default:
		c.peer.Close()
		return false
	}
}

// send writes what is queued until the connection ends.
func (c *client) send(ctx context.Context) {
	defer guard.Recover()
	for {
		select {
		case n := <-c.queue:
			if c.peer.Notify(n.method, n.params) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
