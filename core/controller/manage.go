// The controller's side of the interface manager: it is told what the kernel knows and what the streams need, and
// what it decides is carried out.
package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/refusal"
)

// How often streams are looked at while there are any, and how long all their answers are waited for.
const (
	lookInterval = time.Second
	lookSeldom   = 30 * time.Second // where nothing has happened for some looks; within the age of a report that counts
	stillLooks   = 15               // in which an interface that is back has been there for long enough to be used again
	lookLimit    = 200 * time.Millisecond
	maxSampled   = 64 // streams whose sockets are asked at one look
)

// management is the controller's part in deciding.
type management struct {
	kick   chan struct{} // holds one while there is reason to look at once
	links  chan struct{} // holds one after a change of the host's networks
	daemon daemon
	still  stillness

	mu    sync.Mutex
	store []manager.Store
	far   map[string]manager.Fact // what the daemon says
}

func (m *management) init() {
	m.kick = make(chan struct{}, 1)
	m.links = make(chan struct{}, 1)
	m.daemon.news = make(chan struct{}, 1)
}

// Manager returns the interface manager of this process.
func (c *Controller) Manager() manager.Manager { return c.manager }

// manage serves the manager until ctx ends.
func (c *Controller) manage(ctx context.Context) {
	m := &c.management
	changed := c.watchStores(ctx)
	if err := c.networks.Follow(ctx, c.heardOfNetworks); err != nil {
		c.log.Error().Err(err).Msg("interfaces are not watched, and the loss of a network will not be noticed at once")
	}
	c.useNetworks()
	c.refreshDirectives()
	guard.Go(func() { c.followDaemon(ctx) })
	tick := time.NewTimer(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.links:
			c.useNetworks()
			m.still.restart()
		case <-changed:
			c.refreshDirectives()
			m.daemon.wake()
			m.still.restart()
		case <-m.kick:
			m.still.restart()
		case <-tick.C:
		}
		c.look(ctx)
		if c.count() > 0 {
			tick.Reset(m.still.interval())
		} else {
			tick.Stop() // the next stream kicks
		}
	}
}

func (c *Controller) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// pointless reports whether nothing could ever be done for a stream: there is nowhere to move it, and failures are not
// to be dealt with.
func (c *Controller) pointless() bool {
	if c.config.Failover.Enabled {
		return false
	}
	links, err := netif.List()
	if err != nil {
		return false
	}
	others := 0
	for _, l := range links {
		if !l.Loopback && l.Up {
			others++
		}
	}
	return others < 2
}

// lookSoon makes the manager look at the streams at once.
func (c *Controller) lookSoon() {
	select {
	case c.management.kick <- struct{}{}:
	default:
	}
}

// watchStores opens the folders of the directives: the user's, and the host's where no other is asked for.
func (c *Controller) watchStores(ctx context.Context) <-chan struct{} {
	m := &c.management
	var folders []string
	if hostCounts() {
		folders = append(folders, manager.HostDir)
	}
	if dir, err := control.EnsureRuntimeDir(); err == nil {
		folders = append(folders, dir)
	}
	changed := make(chan struct{}, 1)
	for _, dir := range folders {
		store := manager.Store{Dir: dir}
		m.mu.Lock()
		m.store = append(m.store, store)
		m.mu.Unlock()
		notices := store.WatchFromProcess(ctx, func(err error) {
			c.log.Error().Err(err).Msg("directives are not watched")
		})
		go func() {
			defer guard.Recover()
			for range notices {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}()
	}
	return changed
}

// stores are the folders of the directives; a later one counts more.
func (m *management) stores() []manager.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.store)
}

// hostCounts reports whether what root orders for all users is to be followed.
func hostCounts() bool { return os.Getenv(control.EnvRuntimeDir) == "" && ofRoot(manager.HostDir) }

// ofRoot reports whether only root can have put something into the folder.
func ofRoot(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && status.Uid == 0
}

// useNetworks tells manager and shim what is known of the host's networks.
func (c *Controller) useNetworks() {
	networks := c.networks.State()
	if len(networks.Interfaces) == 0 {
		return
	}
	c.combineFacts()
	c.manager.Links(slices.Clone(networks.Interfaces))
	c.useDevice()
}

// combineFacts gives the manager what the daemon knows and, where that is silent, what files say.
func (c *Controller) combineFacts() {
	all := map[string]manager.Fact{}
	c.management.mu.Lock()
	manager.Merge(all, c.management.far)
	c.management.mu.Unlock()
	manager.Merge(all, manager.OfFiles(c.networks.State()))
	c.manager.Facts(all)
}

func (c *Controller) refreshDirectives() {
	var all []manager.Directives
	for _, store := range c.management.stores() {
		d, err := store.Load()
		if err != nil {
			c.log.Error().Err(err).Msg("directives are not followed")
		}
		all = append(all, d)
	}
	used := c.manager.UsedBy(c.pid)
	c.manager.Direct(manager.Combine(all...))
	if now := c.manager.UsedBy(c.pid); now != used {
		c.forgetWords()
	}
}

// look tells the manager of the streams and, where no daemon decides, carries out what it says.
func (c *Controller) look(ctx context.Context) {
	streams, samples := c.needs(ctx)
	c.manager.Report(c.pid, streams, samples)
	c.preferServers(ctx)
	c.useDevice()
	if c.management.daemon.report(c, streams, samples) {
		return
	}
	v := c.manager.Evaluate(c.answer)
	for _, w := range v.Fired {
		c.fired(w)
	}
	for _, d := range v.Declined {
		c.log.Debug().Str("session", d.Session).Str("reason", d.Reason).Msg("decided against")
		c.Publish(control.Event{At: control.Now(), Kind: control.EventDeclined, PID: c.pid, Session: d.Session, Text: d.Reason,
			Fields: map[string]any{"to": d.To}})
	}
	for _, d := range v.Decisions {
		guard.Go(func() { c.carryOut(ctx, d) })
	}
}

// fired notes in the stores what a conditional trigger that has fired orders.
func (c *Controller) fired(w manager.When) {
	c.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger, PID: c.pid,
		Text: "the condition came true: " + w.Condition + "; use " + w.Use, Fields: map[string]any{"to": w.Use, "trigger": manager.TriggerWhen, "id": w.ID}})
	for _, store := range c.management.stores() {
		if err := store.Fire(w); err != nil {
			c.log.Error().Err(err).Msg("a trigger's firing was not noted")
		}
	}
}

// carryOut moves one stream as decided.
func (c *Controller) carryOut(ctx context.Context, d manager.Decision) control.StreamResult {
	r := control.StreamResult{ID: d.Session}
	streams := c.all(d.Session)
	if len(streams) == 0 {
		r.Reason = "the program has closed it"
		return r
	}
	s := streams[0]
	// The daemon, a person and this process may come to the same decision at the same time.
	s.decided.Lock()
	defer s.decided.Unlock()
	var err error
	if s.end().Interface != d.To {
		c.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger, PID: c.pid, Session: d.Session,
			Text:   fmt.Sprintf("to move from %s to %s: %s", d.From, d.To, d.Cause),
			Fields: map[string]any{"from": d.From, "to": d.To, "trigger": d.Trigger, "cause": d.Cause}})
		limited, cancel := lease.With(ctx, c.config.Migration.Timeout)
		r.Migration, err = s.migrate(limited, d.To, d.Trigger)
		cancel()
	}
	var no *refusal.Refusal
	if errors.As(err, &no) {
		s.mu.Lock()
		if e := s.current(); e != nil {
			e.refuseOver(d.To, no.Why)
		}
		s.mu.Unlock()
	}
	c.manager.Outcome(d.Session, d.To, err)
	c.management.daemon.outcome(d.Session, d.To, err)
	if r.OK = err == nil; !r.OK {
		r.Reason = err.Error()
	}
	return r
}

// useNow follows the directives at once, for all streams, and says what came of it.
func (c *Controller) useNow(ctx context.Context) control.MigrateResult {
	if err := c.networks.Refresh(); err != nil {
		c.log.Error().Err(err).Msg("interfaces are not known")
	}
	c.useNetworks()
	c.refreshDirectives()
	c.forgetWords()
	c.useDevice()
	streams, samples := c.needs(ctx)
	c.manager.Report(c.pid, streams, samples)
	c.management.daemon.report(c, streams, samples)
	use := c.manager.UsedBy(c.pid)
	var result control.MigrateResult
	if use == "" {
		c.lookSoon()
		return result
	}
	var wg sync.WaitGroup
	for _, n := range streams {
		if n.Interface == use || n.Loopback() {
			continue
		}
		result.Streams = append(result.Streams, control.StreamResult{})
	}
	at := 0
	for _, n := range streams {
		if n.Interface == use || n.Loopback() {
			continue
		}
		into := &result.Streams[at]
		at++
		wg.Go(func() {
			defer guard.Recover()
			*into = c.carryOut(ctx, manager.Decision{Session: n.ID, PID: c.pid, From: n.Interface, To: use,
				Trigger: manager.TriggerUse, Cause: "a person asked for " + use})
		})
	}
	wg.Wait()
	return result
}

// useDevice tells the shim which interface new connections of this process alone are to be bound to, and which are to be
// tried where one leads nowhere; what holds for all processes it finds by itself.
func (c *Controller) useDevice() {
	binder, ok := c.shim.(interface {
		Use(index uint32)
		Order(indices []uint32)
	})
	if !ok {
		return
	}
	var order []uint32
	for _, i := range c.manager.Choices() {
		index := uint32(i.Index)
		if i.Costs {
			index |= channel.OrderCosts
		}
		order = append(order, index)
	}
	binder.Order(order)
	switch name := c.manager.Own(c.pid); name {
	case "":
		binder.Use(channel.UseAll)
	case manager.Auto:
		binder.Use(channel.UseNone)
	default:
		if i, ok := c.manager.Interface(name); ok && i.Usable() {
			binder.Use(uint32(i.Index))
		} else {
			binder.Use(channel.UseNone)
		}
	}
}

// needs describes all streams, with what their sockets say of their connections.
func (c *Controller) needs(ctx context.Context) ([]manager.Stream, []manager.Sample) {
	all := c.all("")
	streams := make([]manager.Stream, len(all))
	samples := make([]manager.Sample, len(all))
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	c.askQuiet(ctx, all)
	asked := 0
	for n, s := range all {
		streams[n] = s.Need()
	}
	moves := c.management.still.look(streams)
	for n, s := range all {
		if !streams[n].Active || !moves(streams[n]) || streams[n].Loopback() || asked == maxSampled || s.busy() {
			continue
		}
		asked++
		if info, err := s.inquire(ctx, false); err == nil {
			samples[n] = manager.Sample{RTT: milliseconds(s.roundTrip(info)), Retransmits: int64(info.Retransmits), Connection: info.Inode}
		}
	}
	return streams, samples
}

// roundTrip is what the path's RTT is by now. The kernel's own figure dates from the last request where nothing is sent
// but acknowledgements; the receiver's estimate is longer than the path if the sender pauses by itself.
func (s *Stream) roundTrip(info channel.SocketInfo) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guarded && s.flow.changes >= settledMin && s.flow.usual <= max(2*tick, info.ReceiveRTT/2) {
		return max(info.RTT, info.ReceiveRTT)
	}
	return info.RTT
}

// refused is why an exchange could not be continued over an interface, and when that was found.
type refused struct {
	why string
	at  time.Time
}

// refusedFor is how long a refusal is held against an interface: a captive portal, for one, may be opened.
const refusedFor = time.Minute

func (e *exchange) refuseOver(iface, why string) {
	if e.refused == nil {
		e.refused = map[string]refused{}
	}
	e.refused[iface] = refused{cut(why), time.Now()}
}

// answer says what streams need now. It is a manager.Asker for this process.
func (c *Controller) answer(_ int, sessions []string) []manager.Need {
	var needs []manager.Need
	for _, id := range sessions {
		for _, s := range c.all(id) {
			n := manager.Need{Stream: s.Need(), To: c.networks.State().Usable()}
			if n.To != nil {
				n.To = slices.DeleteFunc(n.To, func(iface string) bool { return s.barred(iface) != "" })
			}
			n.URL, n.Command = cut(n.URL), cut(n.Command)
			s.mu.Lock()
			if e := s.current(); e != nil {
				for iface, r := range e.refused {
					if n.Not == nil {
						n.Not = map[string]string{}
					}
					if time.Since(r.at) < refusedFor {
						n.Not[iface] = r.why
					}
				}
			}
			s.mu.Unlock()
			needs = append(needs, n)
		}
	}
	return needs
}

func (s *Stream) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.migrating || s.closed || s.left.Why != 0
}

// Need says what the manager has to know of the stream.
func (s *Stream) Need() manager.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := manager.Stream{
		ID: s.name(), PID: s.c.pid, Command: s.owner.command, Interface: s.iface, Server: s.server.String(),
		Length: -1, Why: s.why(),
	}
	n.Movable = n.Why == ""
	n.Held = s.asked != "" && s.asked == s.iface
	e := s.current()
	n.Active = e != nil
	if e == nil {
		e = s.last
	}
	if e != nil {
		n.URL = e.url(s.opened.Peer.String())
		n.Length, n.Received = e.Length(), s.received(e)
	}
	n.Host, n.Port = s.hostOf(e)
	if k := len(s.history); k > 0 {
		n.Moved = s.history[k-1].At.Time
	}
	return n
}

// excluded says why the configuration leaves the stream alone, "" if it does not. With s.mu.
func (s *Stream) excluded(e *exchange) string {
	sessions := &s.c.config.Sessions
	if len(sessions.Include)+len(sessions.Exclude) == 0 {
		return ""
	}
	length := int64(-1)
	if e != nil {
		length = e.Length()
	}
	host, port := s.hostOf(e)
	return sessions.Excluded(s.owner.command, host, port, length)
}

var _ control.Extension = (*Controller)(nil)

// Call implements control.Extension.
func (c *Controller) Call(ctx context.Context, _ *control.Peer, method string, params json.RawMessage) (any, bool, error) {
	switch method {
	case control.MethodInterfaces:
		return c.manager.Interfaces(), true, control.Params(method, params, &struct{}{})
	case control.MethodFacts:
		return c.manager.Gather(), true, control.Params(method, params, &struct{}{})
	case control.MethodRelease:
		var p control.ReleaseParams
		if err := control.Params(method, params, &p); err != nil {
			return nil, true, err
		}
		return c.release(p.Session), true, nil
	case control.MethodUse:
		var p control.UseParams
		if err := control.Params(method, params, &p); err != nil {
			return nil, true, err
		}
		if p.PID == c.pid {
			if p.Interface != manager.Auto && p.Interface != "" {
				if i, ok := c.manager.Interface(p.Interface); ok && i.Never {
					return nil, true, fmt.Errorf("use %s: the configuration says never", p.Interface)
				}
				if _, err := netif.ByName(p.Interface); err != nil {
					return nil, true, err
				}
			}
			c.manager.UseFor(c.pid, p.Interface)
		}
		return c.useNow(ctx), true, nil
	}
	return nil, false, nil
}

// daemonPaths are where a daemon may listen, the user's own first.
func (m *management) daemonPaths() []string {
	var paths []string
	for _, store := range m.stores() {
		if dir := store.Dir; dir != manager.HostDir {
			paths = append(paths, filepath.Join(dir, manager.SocketName))
		}
	}
	// The host's may have come since this process started.
	if hostCounts() {
		paths = append(paths, filepath.Join(manager.HostDir, manager.SocketName))
	}
	return paths
}
