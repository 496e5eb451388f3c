// The daemon: one engine for all processes that have attached.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/guard"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/netmon"
)

// daemon implements control.Handler and control.Extension.
type daemon struct {
	control.Hub

	store manager.Store
	host  bool // serves all users
	log   zerolog.Logger
	kick  chan struct{}

	mu         sync.Mutex
	config     *config.Config
	common     *party                             // all processes; of the host's daemon none: it knows what nobody has reported
	parties    map[int]*party                     // of the host's daemon, by user
	asked      map[int64]question                 // by their numbers
	last       int64                              // question
	heard      map[string]map[string]manager.Fact // by who has said it on the bus
	files      map[string]manager.Fact
	links      []netif.Interface
	directives manager.Directives
}

// How often is looked, and how soon again where there is reason to.
const (
	lookInterval = time.Second
	lookAgain    = 20 * time.Millisecond
)

func newDaemon(cfg *config.Config, dir string, logger zerolog.Logger) *daemon {
	d := &daemon{
		store: manager.Store{Dir: dir}, log: logger, config: cfg,
		kick: make(chan struct{}, 1), parties: map[int]*party{}, asked: map[int64]question{}, heard: map[string]map[string]manager.Fact{},
	}
	d.common = d.newParty(os.Geteuid(), cfg)
	return d
}

// serve answers until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	socket := filepath.Join(d.store.Dir, manager.SocketName)
	listener, err := control.ListenAt(socket)
	if err != nil {
		return err
	}
	server := control.NewServer(d)
	server.Serves(maxProcesses)
	if d.host {
		server.Bounds(maxMessages, maxAll)
		server.AllowAll()
		if err := os.Chmod(socket, 0o666); err != nil {
			listener.Close()
			return err
		}
	}
	changed, err := d.store.Watch(ctx)
	if err != nil {
		listener.Close()
		return err
	}
	links, err := netif.Watch(ctx)
	if err != nil {
		listener.Close()
		return err
	}
	stamp := netmon.FilesStamp()
	d.refreshInterfaces()
	d.refreshDirectives()
	d.look()
	defer d.store.Order(nil)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer server.Close()
	go d.followBus(ctx)
	if address := d.config.Metrics.Listen; address != "" {
		if err := d.serveMetrics(ctx, address); err != nil {
			return err
		}
	}
	if d.config.Notify.Desktop && !d.host {
		go d.notify(ctx)
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	d.log.Info().Str("socket", socket).Msg("serving")
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-again:
			d.reload()
		case _, ok := <-links:
			if !ok {
				return unlessEnded(ctx, errors.New("the interfaces can no longer be watched"))
			}
			d.refreshInterfaces()
		case _, ok := <-changed:
			if !ok {
				return unlessEnded(ctx, fmt.Errorf("%s can no longer be watched", d.store.Dir))
			}
			d.refreshDirectives()
		case <-d.kick:
		case <-tick.C:
			if now := netmon.FilesStamp(); now != stamp {
				stamp = now
				d.refreshInterfaces()
			} else if d.idle() {
				continue
			}
		}
		d.look()
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain): // however many processes have something to say
		}
	}
}

// unlessEnded is err, but for a daemon that was told to end: then everything that is watched ends too, in any order.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *daemon) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.common.clients)+len(d.parties) == 0
}

func (d *daemon) lookSoon() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// reload reads the configuration again; one that is wrong is logged and not used.
func (d *daemon) reload() {
	cfg, err := config.Load(config.Find())
	if err != nil {
		d.log.Error().Err(err).Msg("the configuration is kept as it was")
		return
	}
	d.mu.Lock()
	d.config = cfg
	d.mu.Unlock()
	for _, p := range d.all() {
		p.engine.Configure(cfg)
	}
	d.log.Info().Msg("the configuration has been read again")
}

func (d *daemon) refreshInterfaces() {
	networks, err := netmon.Look()
	if err != nil {
		d.log.Error().Err(err).Msg("interfaces are not known")
		return
	}
	d.mu.Lock()
	d.files, d.links = manager.OfFiles(networks), networks.Interfaces
	d.mu.Unlock()
	for _, p := range d.all() {
		p.engine.Links(slices.Clone(networks.Interfaces))
	}
}

func (d *daemon) refreshDirectives() {
	directives, err := d.store.Load()
	if err != nil {
		d.log.Error().Err(err).Msg("directives are not followed")
		return
	}
	d.mu.Lock()
	d.directives = directives
	d.mu.Unlock()
	for _, p := range d.all() {
		p.engine.Direct(directives)
	}
}

// gather puts together what the bus, files and processes say.
func (d *daemon) gather() {
	for _, p := range d.all() {
		d.mu.Lock()
		facts := d.facts(p)
		d.mu.Unlock()
		p.engine.Facts(facts)
	}
}

// look decides, for all parties at the same time, and tells the processes.
func (d *daemon) look() {
	d.gather()
	var wg sync.WaitGroup
	for _, p := range d.all() {
		wg.Go(func() { d.lookAt(p) })
	}
	wg.Wait()
	if err := d.store.Order(d.common.engine.Choices()); err != nil {
		d.log.Error().Err(err).Msg("the order of the interfaces was not noted")
	}
	d.tellFacts()
}

// lookAt decides for one party.
func (d *daemon) lookAt(p *party) {
	v := p.engine.Evaluate(func(pid int, sessions []string) []manager.Need { return d.ask(p, pid, sessions) })
	for _, w := range v.Fired {
		if d.host && p.uid != 0 {
			continue // what a user's processes have shown fires a trigger of the host's for that user
		}
		d.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger,
			Text: "the condition came true: " + w.Condition + "; use " + w.Use, Fields: map[string]any{"to": w.Use, "trigger": manager.TriggerWhen, "id": w.ID}})
		if err := d.store.Fire(w); err != nil {
			d.log.Error().Err(err).Msg("a trigger's firing was not noted")
		}
	}
	for _, n := range v.Declined {
		d.log.Debug().Str("session", n.Session).Str("reason", n.Reason).Msg("decided against")
		d.Publish(control.Event{At: control.Now(), Kind: control.EventDeclined, PID: n.PID, Session: n.Session, Text: n.Reason, Fields: map[string]any{"to": n.To}})
	}
	for _, n := range v.Decisions {
		c := d.client(p, n.PID)
		if c == nil || !c.notify(control.MethodTrigger, n) {
			p.engine.Outcome(n.Session, n.To, errors.New("the process is gone"))
			continue
		}
		d.log.Info().Str("session", n.Session).Str("to", n.To).Str("cause", n.Cause).Msg("triggered")
	}
}

// question is one that a process has not answered yet.
type question struct {
	client *client
	answer chan []manager.Need
}

// ask puts a question to a process of the party, as a manager.Asker does.
func (d *daemon) ask(p *party, pid int, sessions []string) []manager.Need {
	c := d.client(p, pid)
	if c == nil {
		return nil
	}
	answer := make(chan []manager.Need, 1)
	d.mu.Lock()
	d.last++
	q := manager.Question{Number: d.last, Sessions: sessions}
	d.asked[q.Number] = question{c, answer}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.asked, q.Number)
		d.mu.Unlock()
	}()
	if !c.notify(control.MethodAsk, q) {
		return nil
	}
	select {
	case needs := <-answer:
		return needs
	case <-time.After(manager.AskLimit):
		return nil
	}
}

// needs takes a process's answer.
func (d *daemon) needs(p *control.Peer, n manager.Needs) error {
	c := d.speaks(p, n.PID)
	if c == nil {
		return fmt.Errorf("needs: process %d has not attached on this connection", n.PID)
	}
	// A process may only speak of its own streams.
	var needs []manager.Need
	for _, one := range n.Needs {
		if own, _ := ownStreams(n.PID, []manager.Stream{one.Stream}, nil); len(own) == 1 {
			one.Stream = own[0]
			needs = append(needs, one)
		}
	}
	d.mu.Lock()
	q := d.asked[n.Number] // none where nobody waits any more
	d.mu.Unlock()
	if q.client != c {
		return nil
	}
	select {
	case q.answer <- needs:
	default: // it has answered already
	}
	return nil
}

func (d *daemon) client(p *party, pid int) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return p.clients[pid]
}

// tellFacts sends what is known to those who do not have it yet.
func (d *daemon) tellFacts() {
	for _, p := range d.all() {
		facts := p.engine.Gather()
		text, err := json.Marshal(facts)
		if err != nil {
			return
		}
		d.mu.Lock()
		var behind []*client
		for _, c := range p.clients {
			if c.facts != string(text) {
				c.facts = string(text)
				behind = append(behind, c)
			}
		}
		d.mu.Unlock()
		for _, c := range behind {
			c.notify(control.MethodFacts, facts)
		}
	}
}

// Sessions implements control.Handler: the sessions are the processes' to tell.
func (d *daemon) Sessions() []control.Session { return nil }

// Migrate implements control.Handler.
func (d *daemon) Migrate(context.Context, control.MigrateParams) (control.MigrateResult, error) {
	return control.MigrateResult{}, errors.New("midstreamd has no downloads of its own; ask the processes")
}

// MayWatch implements control.Guarded: what is decided for one user is not for others to know.
func (d *daemon) MayWatch(uid int) error {
	if d.host && uid != 0 {
		return errors.New("permission denied: this is the daemon of all users, which root may watch; a process of your own tells what concerns it")
	}
	return nil
}

// Call implements control.Extension.
func (d *daemon) Call(ctx context.Context, p *control.Peer, method string, params json.RawMessage) (any, bool, error) {
	switch method {
	case control.MethodInterfaces:
		d.gather()
		return d.engineFor(p).Interfaces(), true, control.Params(method, params, &struct{}{})
	case control.MethodFacts:
		d.gather()
		return d.engineFor(p).Gather(), true, control.Params(method, params, &struct{}{})
	case control.MethodAttach:
		var a control.AttachParams
		if err := control.Params(method, params, &a); err != nil {
			return nil, true, err
		}
		return struct{}{}, true, d.attach(ctx, p, a)
	case control.MethodReport:
		var r manager.Reported
		if err := control.Params(method, params, &r); err != nil {
			return nil, true, err
		}
		return struct{}{}, true, d.report(p, r)
	case control.MethodNeeds:
		var n manager.Needs
		if err := control.Params(method, params, &n); err != nil {
			return nil, true, err
		}
		return struct{}{}, true, d.needs(p, n)
	case control.MethodOutcome:
		var o control.OutcomeParams
		if err := control.Params(method, params, &o); err != nil {
			return nil, true, err
		}
		var err error
		if o.Error != "" {
			err = errors.New(o.Error)
		}
		number, _, _ := strings.Cut(o.Session, "-")
		pid, wrong := strconv.Atoi(number)
		c := d.speaks(p, pid)
		if wrong != nil || c == nil || len(o.Session) > maxSession || len(o.To) > maxName {
			return nil, true, fmt.Errorf("outcome: session %.40q is not of a process that has attached on this connection", o.Session)
		}
		c.party.engine.Outcome(o.Session, o.To, err)
		return struct{}{}, true, nil
	}
	return nil, false, nil
}

var _ control.Extension = (*daemon)(nil)

// attach takes in a process until its connection ends.
func (d *daemon) attach(ctx context.Context, p *control.Peer, a control.AttachParams) error {
	if a.PID <= 0 {
		return errors.New("attach: there is no process id")
	}
	if d.host && p.PID() != 0 && p.PID() != a.PID {
		return fmt.Errorf("attach: this is process %d, not %d", p.PID(), a.PID)
	}
	c := &client{pid: a.PID, peer: p, queue: make(chan notification, maxQueued)}
	d.mu.Lock()
	err := d.join(c, p.UID())
	d.mu.Unlock()
	if err != nil {
		return err
	}
	d.log.Debug().Int("pid", a.PID).Str("command", display.Shorten(a.Command, maxText)).Msg("attached")
	guard.Go(func() { c.send(ctx) })
	context.AfterFunc(ctx, func() { d.leave(c) })
	return nil
}

// speaks returns the process, if it has attached on this connection.
func (d *daemon) speaks(p *control.Peer, pid int) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.partyOf(p.UID()); own != nil {
		if c := own.clients[pid]; c != nil && c.peer.Same(p) {
			return c
		}
	}
	return nil
}

// report takes in what a process tells of itself; nobody may speak for another.
func (d *daemon) report(p *control.Peer, r manager.Reported) error {
	c := d.speaks(p, r.PID)
	if c == nil {
		return fmt.Errorf("report: process %d has not attached on this connection", r.PID)
	}
	if len(r.Use) > maxName {
		return fmt.Errorf("report: %.40q is no interface", r.Use)
	}
	if !d.admit(c, &r) {
		return nil
	}
	if c.party.engine.Own(r.PID) != r.Use {
		c.party.engine.UseFor(r.PID, r.Use)
	}
	c.party.engine.Report(r.PID, r.Streams, r.Samples)
	d.lookSoon()
	return nil
}
