// The recorder.
package recording

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"time"

	"midstream/core/control"
	"midstream/ctl/client"
)

const interval = 100 * time.Millisecond

// Recorder writes down how downloads go.
type Recorder struct {
	out    *json.Encoder
	begun  time.Time
	before map[string]int64 // what each had received
	tally  client.Tally
	parts  map[string]map[string]int64 // octets by session and network, since the recording began or they did
}

// New returns one that writes to out.
func New(out io.Writer) *Recorder {
	return &Recorder{out: json.NewEncoder(out), begun: time.Now(), parts: map[string]map[string]int64{}}
}

// Run writes samples, and the events that come, until ctx ends or, with idle, until what was being downloaded has ended.
func (r *Recorder) Run(ctx context.Context, events <-chan control.Event, idle bool) error {
	if err := r.out.Encode(Entry{Record: Version, Begun: r.begun}); err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	seen := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if err := r.out.Encode(Entry{At: e.At.Sub(r.begun).Seconds(), Event: &e}); err != nil {
				return err
			}
		case <-tick.C:
			active, err := r.sample(ctx)
			if err != nil || idle && seen && !active {
				return err
			}
			seen = seen || active
		}
	}
}

// sample writes what has changed; it returns whether anything is under way.
func (r *Recorder) sample(ctx context.Context) (active bool, err error) {
	all, err := client.Processes()
	if err != nil {
		return false, err
	}
	at := time.Since(r.begun).Seconds()
	var sessions []control.Session
	for _, a := range client.AskAll[[]control.Session](ctx, all, client.AnswerLimit, control.MethodSessions, nil) {
		sessions = append(sessions, a.Result...)
	}
	return r.take(at, sessions)
}

// take is sample for the sessions that there are, so many seconds after the beginning.
func (r *Recorder) take(at float64, sessions []control.Session) (active bool, err error) {
	var list []Sample
	now := map[string]int64{}
	changed := false
	for id, parts := range r.tally.Take(sessions, true) {
		if r.parts[id] == nil {
			r.parts[id] = map[string]int64{}
		}
		for name, n := range parts {
			r.parts[id][name] += n
		}
	}
	for _, s := range sessions {
		list = append(list, Sample{ID: s.ID, Name: client.Name(s), Command: client.Program(s), Received: s.Received, Length: s.Length, Over: s.Interface,
			Parts: r.parts[s.ID], Held: s.Held != nil})
		now[s.ID] = s.Received
		was, known := r.before[s.ID]
		changed = changed || !known || was != s.Received
		active = active || s.State == control.StateActive || s.State == control.StateMigrating
	}
	changed = changed || len(now) != len(r.before)
	r.before = now
	maps.DeleteFunc(r.parts, func(id string, _ map[string]int64) bool { _, there := now[id]; return !there })
	if !changed {
		return active, nil
	}
	return active, r.out.Encode(Entry{At: at, Sample: list})
}
