// The connection to midstreamd: while there is one, the daemon decides. When it is gone, the process decides again by
// itself; nothing that is under way is disturbed.
package liaison

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/manager"
)

// How long is waited before the next attempt to connect; a daemon that starts is noticed at once.
const (
	daemonFirst = time.Second
	daemonMost  = time.Minute
	daemonLimit = 5 * time.Second // for an attempt, and for a message to be taken
)

// daemon is the connection, if there is one.
type daemon struct {
	mu     sync.Mutex
	socket net.Conn // nil: none
	news   chan struct{}
}

// wake makes the next attempt to connect come at once.
func (d *daemon) wake() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// followDaemon connects to the daemon, again and again, until ctx ends.
func (c *Liaison) followDaemon(ctx context.Context) {
	d := &c.daemon
	wait := daemonFirst
	for ctx.Err() == nil {
		for _, path := range c.daemonPaths() {
			if c.attach(ctx, path) {
				wait = daemonFirst
				break
			}
		}
		// Thousands of processes must not come back in the same instant.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
		case <-timer.C:
			wait = min(2*wait, daemonMost)
		case <-d.news:
			wait = daemonFirst
		}
		timer.Stop()
	}
}

// attach serves one connection; it returns at its end whether there has been one.
func (c *Liaison) attach(ctx context.Context, path string) bool {
	dialer := net.Dialer{Timeout: daemonLimit}
	socket, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	d := &c.daemon
	in := bufio.NewScanner(socket)
	in.Buffer(nil, control.MaxLine)
	if !d.send(socket, control.Request{ID: json.RawMessage("1"), Method: control.MethodAttach}, control.AttachParams{PID: c.pid, Command: c.command}) {
		return false
	}
	socket.SetReadDeadline(time.Now().Add(daemonLimit))
	var answer control.Response
	if !in.Scan() || json.Unmarshal(in.Bytes(), &answer) != nil || answer.Error != nil {
		if answer.Error != nil {
			c.log.Info().Str("reason", answer.Error.Message).Msg("midstreamd does not serve this process")
		}
		return false
	}
	socket.SetReadDeadline(time.Time{})
	d.mu.Lock()
	d.socket = socket
	d.mu.Unlock()
	c.log.Info().Str("path", path).Msg("midstreamd decides")
	c.process.Publish(control.Event{At: control.Now(), Kind: control.EventManager, PID: c.pid, Text: "midstreamd decides from now on"})
	c.LookSoon()
	for in.Scan() {
		var m control.Response
		if json.Unmarshal(in.Bytes(), &m) != nil {
			break
		}
		c.hear(ctx, m)
	}
	d.mu.Lock()
	d.socket = nil
	d.mu.Unlock()
	// What it measured and met grows old; what it learnt of the networks stays true.
	c.mu.Lock()
	for name, f := range c.far {
		c.far[name] = manager.Fact{Resolvers: f.Resolvers, Metered: f.Metered, Provider: f.Provider}
	}
	c.mu.Unlock()
	c.combineFacts()
	c.log.Info().Msg("midstreamd has gone")
	c.process.Publish(control.Event{At: control.Now(), Kind: control.EventManager, PID: c.pid, Text: "midstreamd has gone; this process decides by itself"})
	c.LookSoon()
	return true
}

// hear takes a notification of the daemon's.
func (c *Liaison) hear(ctx context.Context, m control.Response) {
	switch m.Method {
	case control.MethodTrigger:
		var d manager.Decision
		if json.Unmarshal(m.Params, &d) == nil && d.PID == c.pid && d.To != "" {
			guard.Go(func() { c.carryOut(ctx, d) })
		}
	case control.MethodAsk:
		var q manager.Question
		if json.Unmarshal(m.Params, &q) == nil {
			guard.Go(func() {
				c.daemon.tell(control.MethodNeeds, manager.Needs{PID: c.pid, Number: q.Number, Needs: c.answer(c.pid, q.Sessions)})
			})
		}
	case control.MethodFacts:
		var facts map[string]manager.Fact
		if json.Unmarshal(m.Params, &facts) == nil {
			c.mu.Lock()
			c.far = facts
			c.mu.Unlock()
			c.combineFacts()
		}
	}
}

// What is told of streams has to fit into a line (control.MaxLine).
const (
	maxReported     = 1000
	maxReportedText = 200
)

func cut(text string) string {
	if len(text) > maxReportedText {
		return strings.ToValidUTF8(text[:maxReportedText], "")
	}
	return text
}

// report sends the streams; false where no daemon takes them.
func (d *daemon) report(c *Liaison, streams []manager.Stream, samples []manager.Sample) bool {
	if len(streams) > maxReported {
		streams, samples = streams[:maxReported], samples[:maxReported]
	}
	short := make([]manager.Stream, len(streams))
	for i, s := range streams {
		short[i] = s
		short[i].URL, short[i].Command = cut(s.URL), cut(s.Command)
	}
	return d.tell(control.MethodReport, manager.Reported{
		PID: c.pid, Use: c.engine.Own(c.pid), Streams: short, Samples: samples, Captive: c.engine.Portals(),
	})
}

func (d *daemon) outcome(session, to string, err error) {
	o := control.OutcomeParams{Session: session, To: to}
	if err != nil {
		o.Error = err.Error()
	}
	d.tell(control.MethodOutcome, o)
}

// tell sends a notification. A daemon that does not take it in time is left.
func (d *daemon) tell(method string, params any) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.socket == nil {
		return false
	}
	if !d.send(d.socket, control.Request{Method: method}, params) {
		d.socket.Close()
		d.socket = nil
		return false
	}
	return true
}

func (d *daemon) send(socket net.Conn, r control.Request, params any) bool {
	var err error
	r.JSONRPC = control.Version
	if r.Params, err = json.Marshal(params); err != nil {
		return false
	}
	line, err := json.Marshal(r)
	if err != nil {
		return false
	}
	socket.SetWriteDeadline(time.Now().Add(daemonLimit))
	_, err = socket.Write(append(line, '\n'))
	return err == nil
}
