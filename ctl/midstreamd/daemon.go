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
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/resolve"
)

// daemon implements control.Handler and control.Extension.
type daemon struct {
	control.Hub

	engine *manager.Engine
	store  manager.Store
	host   bool // serves all users
	log    zerolog.Logger
	kick   chan struct{}

	mu      sync.Mutex
	clients map[int]*client    // by process
	asked   map[int64]question // by their numbers
	last    int64              // question
	system  map[string]manager.Fact
	files   map[string]manager.Fact
}

// client is a process that has attached.
type client struct {
	pid     int
	uid     int
	peer    *control.Peer
	captive map[string]bool
	facts   string // sent last
}

const lookInterval = time.Second

// maxProcesses of one user are served; further ones decide by themselves.
const maxProcesses = 1024

func newDaemon(cfg *config.Config, dir string, logger zerolog.Logger) *daemon {
	return &daemon{
		engine: manager.New(cfg, time.Now), store: manager.Store{Dir: dir}, log: logger,
		kick: make(chan struct{}, 1), clients: map[int]*client{}, asked: map[int64]question{},
	}
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
	d.refreshInterfaces()
	d.refreshDirectives()
	d.look()
	defer d.store.Order(nil)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer server.Close()
	go d.followBus(ctx)
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
			if d.idle() {
				continue
			}
		}
		d.look()
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
	return len(d.clients) == 0
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
	d.engine.Configure(cfg)
	d.log.Info().Msg("the configuration has been read again")
}

func (d *daemon) refreshInterfaces() {
	links, err := netif.Survey()
	if err != nil {
		d.log.Error().Err(err).Msg("interfaces are not known")
		return
	}
	files := map[string]manager.Fact{}
	for i := range links {
		if servers := resolve.Link(links[i].Index); len(servers) > 0 {
			files[links[i].Name] = manager.Fact{Resolvers: servers}
		}
	}
	d.mu.Lock()
	d.files = files
	d.mu.Unlock()
	d.engine.Links(links)
}

func (d *daemon) refreshDirectives() {
	directives, err := d.store.Load()
	if err != nil {
		d.log.Error().Err(err).Msg("directives are not followed")
		return
	}
	d.engine.Direct(directives)
}

// gather puts together what the bus, files and processes say.
func (d *daemon) gather() {
	d.mu.Lock()
	all := map[string]manager.Fact{}
	manager.Merge(all, d.system)
	manager.Merge(all, d.files)
	for _, c := range d.clients {
		for name, captive := range c.captive {
			if captive {
				manager.Merge(all, map[string]manager.Fact{name: {Captive: true}})
			}
		}
	}
	d.mu.Unlock()
	d.engine.Facts(all)
}

// look decides, and tells the processes.
func (d *daemon) look() {
	d.gather()
	v := d.engine.Evaluate(d.ask)
	for _, w := range v.Fired {
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
		c := d.client(n.PID)
		if c == nil || c.peer.Notify(control.MethodTrigger, n) != nil {
			d.engine.Outcome(n.Session, n.To, errors.New("the process is gone"))
			continue
		}
		d.log.Info().Str("session", n.Session).Str("to", n.To).Str("cause", n.Cause).Msg("triggered")
	}
	if err := d.store.Order(d.engine.Order(manager.Stream{})); err != nil {
		d.log.Error().Err(err).Msg("the order of the interfaces was not noted")
	}
	d.tellFacts()
}

// question is one that a process has not answered yet.
type question struct {
	pid    int
	answer chan []manager.Need
}

// ask is a manager.Asker.
func (d *daemon) ask(pid int, sessions []string) []manager.Need {
	c := d.client(pid)
	if c == nil {
		return nil
	}
	answer := make(chan []manager.Need, 1)
	d.mu.Lock()
	d.last++
	q := manager.Question{Number: d.last, Sessions: sessions}
	d.asked[q.Number] = question{pid, answer}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.asked, q.Number)
		d.mu.Unlock()
	}()
	if c.peer.Notify(control.MethodAsk, q) != nil {
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
	if !d.speaks(p, n.PID) {
		return fmt.Errorf("needs: process %d has not attached on this connection", n.PID)
	}
	// A process may only speak of its own streams.
	n.Needs = slices.DeleteFunc(n.Needs, func(one manager.Need) bool { return one.PID != n.PID })
	d.mu.Lock()
	q := d.asked[n.Number] // none where nobody waits any more
	d.mu.Unlock()
	if q.pid != n.PID {
		return nil
	}
	select {
	case q.answer <- n.Needs:
	default: // it has answered already
	}
	return nil
}

func (d *daemon) client(pid int) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clients[pid]
}

// tellFacts sends what is known to those who do not have it yet.
func (d *daemon) tellFacts() {
	facts := d.engine.Gather()
	text, err := json.Marshal(facts)
	if err != nil {
		return
	}
	d.mu.Lock()
	var behind []*client
	for _, c := range d.clients {
		if c.facts != string(text) {
			c.facts = string(text)
			behind = append(behind, c)
		}
	}
	d.mu.Unlock()
	for _, c := range behind {
		c.peer.Notify(control.MethodFacts, facts)
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
		return d.engine.Interfaces(), true, control.Params(method, params, &struct{}{})
	case control.MethodFacts:
		d.gather()
		return d.engine.Gather(), true, control.Params(method, params, &struct{}{})
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
		if pid, wrong := strconv.Atoi(number); wrong != nil || !d.speaks(p, pid) {
			return nil, true, fmt.Errorf("outcome: session %.40q is not of a process that has attached on this connection", o.Session)
		}
		d.engine.Outcome(o.Session, o.To, err)
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
	c := &client{pid: a.PID, uid: p.UID(), peer: p}
	d.mu.Lock()
	if old := d.clients[a.PID]; old != nil && old.uid != c.uid {
		d.mu.Unlock()
		return fmt.Errorf("attach: process %d belongs to another user", a.PID)
	}
	d.clients[a.PID] = c
	d.mu.Unlock()
	d.log.Debug().Int("pid", a.PID).Str("command", a.Command).Msg("attached")
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		current := d.clients[a.PID] == c
		if current {
			delete(d.clients, a.PID)
		}
		d.mu.Unlock()
		if current {
			d.engine.Gone(a.PID)
			d.log.Debug().Int("pid", a.PID).Msg("gone")
		}
	})
	return nil
}

// speaks reports whether the process has attached on this connection.
func (d *daemon) speaks(p *control.Peer, pid int) bool {
	c := d.client(pid)
	return c != nil && c.peer.Same(p)
}

// report takes in what a process tells of itself; nobody may speak for another.
func (d *daemon) report(p *control.Peer, r manager.Reported) error {
	if !d.speaks(p, r.PID) {
		return fmt.Errorf("report: process %d has not attached on this connection", r.PID)
	}
	d.mu.Lock()
	if c := d.clients[r.PID]; c != nil {
		c.captive = r.Captive
	}
	d.mu.Unlock()
	r.Streams = slices.DeleteFunc(r.Streams, func(s manager.Stream) bool { return s.PID != r.PID })
	if d.engine.Own(r.PID) != r.Use {
		d.engine.UseFor(r.PID, r.Use)
	}
	d.engine.Report(r.PID, r.Streams, r.Samples)
	d.lookSoon()
	return nil
}
