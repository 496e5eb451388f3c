// Package liaison is the interface manager's part in each process: the manager is told what the kernel knows and what the streams need,
// and what it decides, or a daemon does, is carried out.
package liaison

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/manager"
	"midstream/core/netmon"
	"midstream/core/reason"
)

// How often streams are looked at while there are any, and how long all their answers are waited for.
const (
	lookInterval = time.Second
	lookSeldom   = 30 * time.Second // where nothing has happened for some looks; within the age of a report that counts
	stillLooks   = 15               // in which an interface that is back has been there for long enough to be used again
	lookLimit    = 200 * time.Millisecond
	maxSampled   = 64 // streams whose sockets are asked at one look
)

// Process is what a liaison has to know of its process, and has done there. Safe for concurrent use.
type Process interface {
	// Streams returns the program's streams, that of one session only unless session is empty.
	Streams(session string) []Stream
	// Tell has told of what the shim has kept to itself.
	Tell(ctx context.Context, streams []Stream)
	// PreferServers moves streams to servers that are preferred on the interface they are on.
	PreferServers(ctx context.Context)
	// ForgetWords lets what a person asked for no longer hold: the person has said otherwise.
	ForgetWords()
	// Lost has streams look at a change of the host's networks.
	Lost()
	// Bind has new connections bound to the interface with that index, or channel.UseAll, or channel.UseNone.
	Bind(index uint32)
	// Order says which interfaces new connections are to be tried over where one leads nowhere, the best first.
	Order(indices []uint32)
	// Publish tells whoever watches the process.
	Publish(e control.Event)
}

// Stream is one of the program's streams.
type Stream interface {
	// Need says what the manager has to know of it.
	Need() manager.Stream
	// Busy reports whether there is no sense in asking for its socket.
	Busy() bool
	// Sample asks for it.
	Sample(ctx context.Context) (manager.Sample, error)
	// Barred says why it must not be continued over the interface, if it must not.
	Barred(iface string) reason.Reason
	// Refusals says over which interfaces it could not be continued of late, and why.
	Refusals() map[string]string
	// Carry moves it as decided. No migration and no error: it is there already.
	Carry(ctx context.Context, d manager.Decision) (*control.Migration, error)
}

// Liaison is that of one process. Safe for concurrent use.
type Liaison struct {
	process  Process
	engine   *manager.Engine
	networks *netmon.Monitor
	pid      int
	command  string
	log      zerolog.Logger

	kick   chan struct{} // holds one while there is reason to look at once
	links  chan struct{} // holds one after a change of the host's networks
	daemon daemon
	still  stillness

	mu    sync.Mutex
	store []manager.Store
	far   map[string]manager.Fact // what the daemon says
}

// New returns the liaison of the process with that number and command line. Serve serves it.
func New(p Process, engine *manager.Engine, networks *netmon.Monitor, pid int, command string, log zerolog.Logger) *Liaison {
	c := &Liaison{process: p, engine: engine, networks: networks, pid: pid, command: command, log: log,
		kick: make(chan struct{}, 1), links: make(chan struct{}, 1)}
	c.daemon.news = make(chan struct{}, 1)
	return c
}

// Serve serves the manager until ctx ends.
func (c *Liaison) Serve(ctx context.Context) {
	changed := c.watchStores(ctx)
	if err := c.networks.Follow(ctx, c.heard); err != nil {
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
		case <-c.links:
			c.useNetworks()
			c.still.restart()
		case <-changed:
			c.refreshDirectives()
			c.daemon.wake()
			c.still.restart()
		case <-c.kick:
			c.still.restart()
		case <-tick.C:
		}
		c.look(ctx)
		if len(c.process.Streams("")) > 0 {
			tick.Reset(c.still.interval())
		} else {
			tick.Stop() // the next stream kicks
		}
	}
}

// LookSoon makes the manager look at the streams at once.
func (c *Liaison) LookSoon() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// watchStores opens the folders of the directives: the user's, and the host's where no other is asked for.
func (c *Liaison) watchStores(ctx context.Context) <-chan struct{} {
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
		c.mu.Lock()
		c.store = append(c.store, store)
		c.mu.Unlock()
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
func (c *Liaison) stores() []manager.Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.store)
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
func (c *Liaison) useNetworks() {
	networks := c.networks.State()
	if len(networks.Interfaces) == 0 {
		return
	}
	c.combineFacts()
	c.engine.Links(slices.Clone(networks.Interfaces))
	c.useDevice()
}

// combineFacts gives the manager what the daemon knows and, where that is silent, what files say.
func (c *Liaison) combineFacts() {
	all := map[string]manager.Fact{}
	c.mu.Lock()
	manager.Merge(all, c.far)
	c.mu.Unlock()
	manager.Merge(all, manager.OfFiles(c.networks.State()))
	c.engine.Facts(all)
}

func (c *Liaison) refreshDirectives() {
	var all []manager.Directives
	for _, store := range c.stores() {
		d, err := store.Load()
		if err != nil {
			c.log.Error().Err(err).Msg("directives are not followed")
		}
		all = append(all, d)
	}
	used := c.engine.UsedBy(c.pid)
	c.engine.Direct(manager.Combine(all...))
	if now := c.engine.UsedBy(c.pid); now != used {
		c.process.ForgetWords()
	}
}

// look tells the manager of the streams and, where no daemon decides, carries out what it says.
func (c *Liaison) look(ctx context.Context) {
	streams, samples := c.needs(ctx)
	c.engine.Report(c.pid, streams, samples)
	c.process.PreferServers(ctx)
	c.useDevice()
	if c.daemon.report(c, streams, samples) {
		return
	}
	v := c.engine.Evaluate(c.answer)
	for _, w := range v.Fired {
		c.fired(w)
	}
	for _, d := range v.Declined {
		c.log.Debug().Str("session", d.Session).Str("reason", d.Reason).Msg("decided against")
		c.process.Publish(control.Event{At: control.Now(), Kind: control.EventDeclined, PID: c.pid, Session: d.Session, Text: d.Reason,
			Fields: map[string]any{"to": d.To}})
	}
	for _, d := range v.Decisions {
		guard.Go(func() { c.carryOut(ctx, d) })
	}
}

// fired notes in the stores what a conditional trigger that has fired orders.
func (c *Liaison) fired(w manager.When) {
	c.process.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger, PID: c.pid,
		Text: "the condition came true: " + w.Condition + "; use " + w.Use, Fields: map[string]any{"to": w.Use, "trigger": manager.TriggerWhen, "id": w.ID}})
	for _, store := range c.stores() {
		if err := store.Fire(w); err != nil {
			c.log.Error().Err(err).Msg("a trigger's firing was not noted")
		}
	}
}

// carryOut moves one stream as decided.
func (c *Liaison) carryOut(ctx context.Context, d manager.Decision) control.StreamResult {
	r := control.StreamResult{ID: d.Session}
	streams := c.process.Streams(d.Session)
	if len(streams) == 0 {
		r.Reason = "the program has closed it"
		return r
	}
	var err error
	r.Migration, err = streams[0].Carry(ctx, d)
	c.engine.Outcome(d.Session, d.To, err)
	c.daemon.outcome(d.Session, d.To, err)
	if r.OK = err == nil; !r.OK {
		r.Reason = err.Error()
	}
	return r
}

// UseNow follows the directives at once, for all streams, and says what came of it.
func (c *Liaison) UseNow(ctx context.Context) control.MigrateResult {
	if err := c.networks.Refresh(); err != nil {
		c.log.Error().Err(err).Msg("interfaces are not known")
	}
	c.useNetworks()
	c.refreshDirectives()
	c.process.ForgetWords()
	c.useDevice()
	streams, samples := c.needs(ctx)
	c.engine.Report(c.pid, streams, samples)
	c.daemon.report(c, streams, samples)
	use := c.engine.UsedBy(c.pid)
	var result control.MigrateResult
	if use == "" {
		c.LookSoon()
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
func (c *Liaison) useDevice() {
	var order []uint32
	for _, i := range c.engine.Choices() {
		index := uint32(i.Index)
		if i.Costs {
			index |= channel.OrderCosts
		}
		order = append(order, index)
	}
	c.process.Order(order)
	switch name := c.engine.Own(c.pid); name {
	case "":
		c.process.Bind(channel.UseAll)
	case manager.Auto:
		c.process.Bind(channel.UseNone)
	default:
		if i, ok := c.engine.Interface(name); ok && i.Usable() {
			c.process.Bind(uint32(i.Index))
		} else {
			c.process.Bind(channel.UseNone)
		}
	}
}

// needs describes all streams, with what their sockets say of their connections.
func (c *Liaison) needs(ctx context.Context) ([]manager.Stream, []manager.Sample) {
	all := c.process.Streams("")
	streams := make([]manager.Stream, len(all))
	samples := make([]manager.Sample, len(all))
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	c.process.Tell(ctx, all)
	asked := 0
	for n, s := range all {
		streams[n] = s.Need()
	}
	moves := c.still.look(streams)
	for n, s := range all {
		if !streams[n].Active || !moves(streams[n]) || streams[n].Loopback() || asked == maxSampled || s.Busy() {
			continue
		}
		asked++
		if sample, err := s.Sample(ctx); err == nil {
			samples[n] = sample
		}
	}
	return streams, samples
}

// answer says what streams need now. It is a manager.Asker for this process.
func (c *Liaison) answer(_ int, sessions []string) []manager.Need {
	var needs []manager.Need
	for _, id := range sessions {
		for _, s := range c.process.Streams(id) {
			n := manager.Need{Stream: s.Need(), To: c.networks.State().Usable()}
			if n.To != nil {
				n.To = slices.DeleteFunc(n.To, func(iface string) bool { return !s.Barred(iface).None() })
			}
			n.URL, n.Command = cut(n.URL), cut(n.Command)
			n.Not = s.Refusals()
			for iface, why := range n.Not {
				n.Not[iface] = cut(why)
			}
			needs = append(needs, n)
		}
	}
	return needs
}

// daemonPaths are where a daemon may listen, the user's own first.
func (c *Liaison) daemonPaths() []string {
	var paths []string
	for _, store := range c.stores() {
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

// heard follows a change of the host's networks: at once where something was lost, and when all is known anew.
func (c *Liaison) heard(whole bool) {
	if whole {
		select {
		case c.links <- struct{}{}:
		default: // one is waiting already
		}
	}
	c.process.Lost()
}
