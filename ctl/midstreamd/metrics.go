// What Prometheus is told: figures of all downloads, in its text format 0.0.4 or in OpenMetrics 1.0. They are gathered from the
// processes' control sockets, as midstreamctl does, and only where somebody may ask for them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/release"
	processes "midstream/ctl/client"
)

const (
	gatherInterval = time.Second
	maxValues      = 64 // of one label; further ones are counted together, as "other"
)

// stallBounds are the upper bounds of the histogram's buckets, in seconds.
var stallBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}

// counter counts by the values of one label.
type counter map[string]float64

func (c counter) add(value string, n float64) {
	if _, known := c[value]; !known && len(c) >= maxValues {
		value = "other"
	}
	c[value] += n
}

// metrics is what has been counted since the daemon began.
type metrics struct {
	mu         sync.Mutex
	received   counter // octets, by interface
	migrations counter // by what asked for them
	refusals   counter // by reason
	failures   counter // by cause
	stalls     []float64
	stallSum   float64
	stallCount float64
	standbys   float64
	held       float64 // how often programs were

	states    map[string]int // sessions, now
	holding   int
	answering int
	tally     processes.Tally
}

func newMetrics() *metrics {
	return &metrics{received: counter{}, migrations: counter{}, refusals: counter{}, failures: counter{},
		stalls: make([]float64, len(stallBounds)), states: map[string]int{}}
}

// follow gathers until ctx ends.
func (m *metrics) follow(ctx context.Context) {
	go func() {
		f := processes.Follower{Each: func(raw json.RawMessage) bool {
			var e control.Event
			if json.Unmarshal(raw, &e) == nil {
				m.event(e)
			}
			return true
		}}
		f.Follow(ctx)
	}()
	tick := time.NewTicker(gatherInterval)
	defer tick.Stop()
	for {
		m.gather(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *metrics) gather(ctx context.Context) {
	all, err := processes.Processes()
	if err != nil {
		return
	}
	var list []control.Session
	answers := processes.AskAll[[]control.Session](ctx, all, processes.AnswerLimit, control.MethodSessions, nil)
	for _, a := range answers {
		list = append(list, a.Result...)
	}
	m.take(list, len(answers))
}

// take counts what has come since the last look.
func (m *metrics) take(list []control.Session, answering int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answering, m.holding, m.states = answering, 0, map[string]int{}
	for _, s := range list {
		m.states[s.State]++
		if s.Held != nil {
			m.holding++
		}
	}
	for _, parts := range m.tally.Take(list, true) {
		for name, n := range parts {
			m.received.add(name, float64(n))
		}
	}
}

// event counts what has happened.
func (m *metrics) event(e control.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case control.EventMigration:
		var moved control.Migration
		if text, err := json.Marshal(e.Fields["migration"]); err == nil {
			json.Unmarshal(text, &moved)
		}
		m.migrations.add(kind(moved.Trigger), 1)
		seconds := moved.StallMS / 1000
		m.stallSum += seconds
		m.stallCount++
		for i, bound := range stallBounds {
			if seconds <= bound {
				m.stalls[i]++
			}
		}
	case control.EventRefused:
		reason, _ := e.Fields["reason"].(string)
		m.refusals.add(kind(reason), 1)
	case control.EventFailure:
		cause, _ := e.Fields["cause"].(string)
		m.failures.add(kind(cause), 1)
	case control.EventHeld:
		m.held++
	case control.EventStandby:
		m.standbys++
	}
}

// kind leaves out of a sentence what differs from one time to the next: what follows a colon, and numbers.
func kind(text string) string {
	text, _, _ = strings.Cut(text, ":")
	text = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return 'N'
		}
		return r
	}, display.Line(text))
	if text = display.Shorten(text, 80); text == "" {
		return "unknown"
	}
	return text
}

// exposition writes metrics.
type exposition struct {
	strings.Builder
	open bool // OpenMetrics
}

// family begins one; a counter's samples end in _total, its family does so only in the older format.
func (x *exposition) family(name, kind, help, unit string) {
	if kind == "counter" && !x.open {
		name += "_total"
	}
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
	if x.open && unit != "" {
		fmt.Fprintf(x, "# UNIT %s %s\n", name, unit)
	}
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (x *exposition) sample(name, label, value string, n float64) {
	if label != "" {
		name += "{" + label + `="` + escapes.Replace(value) + `"}`
	}
	fmt.Fprintf(x, "%s %s\n", name, strconv.FormatFloat(n, 'g', -1, 64))
}

func (x *exposition) counters(name, help, unit, label string, c counter) {
	x.family(name, "counter", help, unit)
	values := make([]string, 0, len(c))
	for v := range c {
		values = append(values, v)
	}
	slices.Sort(values)
	for _, v := range values {
		x.sample(name+"_total", label, v, c[v])
	}
}

// write is the answer to one who asks.
func (m *metrics) write(open bool, interfaces []manager.Interface) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := &exposition{open: open}
	x.family("midstream_build_info", "gauge", "The version of midstreamd.", "")
	x.sample("midstream_build_info", "version", release.Version, 1)
	x.counters("midstream_received_bytes", "Octets of content that programs have received, by network interface.", "bytes", "interface", m.received)
	x.counters("midstream_migrations", "Downloads moved to another connection, by what asked for it.", "", "trigger", m.migrations)
	x.counters("midstream_refusals", "Migrations and recoveries that did not come about, by reason.", "", "reason", m.refusals)
	x.counters("midstream_failures", "Connections that have ended early, are cut off or silent, by cause.", "", "cause", m.failures)
	x.family("midstream_stall_seconds", "histogram", "How long a program was handed nothing around a migration.", "seconds")
	for i, bound := range stallBounds {
		x.sample("midstream_stall_seconds_bucket", "le", strconv.FormatFloat(bound, 'f', -1, 64), m.stalls[i])
	}
	x.sample("midstream_stall_seconds_bucket", "le", "+Inf", m.stallCount)
	x.sample("midstream_stall_seconds_sum", "", "", m.stallSum)
	x.sample("midstream_stall_seconds_count", "", "", m.stallCount)
	x.family("midstream_standbys", "counter", "Connections that were made ready beside one in use.", "")
	x.sample("midstream_standbys_total", "", "", m.standbys)
	x.family("midstream_holds", "counter", "How often a program was held, for its connection had ended.", "")
	x.sample("midstream_holds_total", "", "", m.held)
	x.family("midstream_held_sessions", "gauge", "Programs that are held now.", "")
	x.sample("midstream_held_sessions", "", "", float64(m.holding))
	x.family("midstream_processes", "gauge", "Processes under Midstream that answer.", "")
	x.sample("midstream_processes", "", "", float64(m.answering))
	x.family("midstream_sessions", "gauge", "Downloads and kept-alive connections, by state.", "")
	for _, state := range []string{control.StateActive, control.StateDone, control.StateIdle, control.StateMigrating} {
		x.sample("midstream_sessions", "state", state, float64(m.states[state]))
	}
	x.family("midstream_interface_usable", "gauge", "Whether a network interface can be used.", "")
	for _, i := range interfaces {
		usable := 0.0
		if i.Usable() && !i.Never {
			usable = 1
		}
		x.sample("midstream_interface_usable", "interface", i.Name, usable)
	}
	x.family("midstream_interface_rtt_seconds", "gauge", "The round-trip time of the downloads over an interface.", "seconds")
	for _, i := range interfaces {
		if i.RTT > 0 {
			x.sample("midstream_interface_rtt_seconds", "interface", i.Name, i.RTT/1000)
		}
	}
	if open {
		x.WriteString("# EOF\n")
	}
	return x.String()
}

// serveMetrics answers at the address of config.Metrics until ctx ends.
func (d *daemon) serveMetrics(ctx context.Context, address string) error {
	var listener net.Listener
	var err error
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		listener, err = listenUnix(file)
	} else {
		listener, err = net.Listen("tcp", address)
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if d.host && !mayAskOthers() {
		d.log.Warn().Msg("what users download is not counted: their control sockets are closed to this daemon, as its unit confines it; midstreamd(8) has the lines that open them")
	}
	m := newMetrics()
	go m.follow(ctx)
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A page in a browser may reach the loopback interface by a name of its own: nothing is told to it.
			host := r.Host
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			if host != "" && host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
				http.Error(w, "ask by address, or as localhost", http.StatusForbidden)
				return
			}
			if r.URL.Path != "/metrics" {
				http.NotFound(w, r)
				return
			}
			open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
			kind := "text/plain; version=0.0.4; charset=utf-8"
			if open {
				kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
			}
			w.Header().Set("Content-Type", kind)
			d.gather()
			fmt.Fprint(w, m.write(open, d.common.engine.Interfaces()))
		}),
	}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() {
		if err := server.Serve(listener); err != nil && ctx.Err() == nil {
			d.log.Error().Err(err).Msg("metrics are not served any more")
		}
	}()
	d.log.Info().Str("address", address).Msg("metrics are served")
	return nil
}

// mayAskOthers reports whether this process may enter the folders of all users: it has CAP_DAC_OVERRIDE, of capabilities(7).
func mayAskOthers() bool {
	const override = 1 << 1
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "\nCapEff:")
	word, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	effective, err := strconv.ParseUint(word, 16, 64)
	return err == nil && effective&override != 0
}

// listenUnix takes the place of a socket that nobody listens at any more; for this user only.
func listenUnix(file string) (net.Listener, error) {
	if info, err := os.Lstat(file); err == nil && info.Mode().Type() == fs.ModeSocket {
		if c, err := net.Dial("unix", file); err == nil {
			c.Close()
			return nil, fmt.Errorf("another one listens at %s", file)
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(file)
		}
	}
	mask := syscall.Umask(0o077)
	defer syscall.Umask(mask)
	return net.Listen("unix", file)
}
