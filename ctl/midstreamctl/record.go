// midstreamctl record: writes down how downloads go, for plot.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/ctl/client"
)

const recordLong = `Writes into FILE how the downloads go that there are, and those that begin: every tenth of
a second what each has received and over which network, and all events, a JSON object a
line. It ends when it is interrupted, or after --for; with --until-idle when what was being
downloaded has ended. midstreamctl plot makes a picture of it.`

const recordInterval = 100 * time.Millisecond

// recordVersion is the form of the file, which its first line names.
const recordVersion = 1

// entry is a line of a record.
type entry struct {
	Record int            `json:"midstream_record,omitempty"` // of the first line: recordVersion
	Begun  time.Time      `json:"begun,omitzero"`             // likewise
	At     float64        `json:"t"`                          // seconds since then
	Sample []sample       `json:"sessions,omitempty"`
	Event  *control.Event `json:"event,omitempty"`
}

// sample is a download at one moment.
type sample struct {
	ID       string           `json:"id"`
	Name     string           `json:"name"`
	Command  string           `json:"command"`
	Received int64            `json:"received"`
	Length   *int64           `json:"length,omitempty"`
	Over     string           `json:"interface"`
	Parts    map[string]int64 `json:"parts"` // octets by network, of all exchanges of the session
	Held     bool             `json:"held,omitempty"`
}

func recordCommand(e *environment) *cobra.Command {
	var limit span
	c := &cobra.Command{Use: "record FILE [--for TIME] [--until-idle]", Short: "write down how downloads go", Long: recordLong, Args: cobra.ArbitraryArgs}
	c.Flags().Var(&limit, "for", "end after so long")
	idle := c.Flags().Bool("until-idle", false, "end when there were downloads, and all have ended")
	return e.command(c, "0; 1 where the file cannot be written; 2 wrong usage or configuration", func(c *cobra.Command, args []string) int {
		if len(args) != 1 {
			return e.wrong(c, "name one FILE to write")
		}
		return record(e, args[0], limit.Duration, *idle)
	})
}

func record(e *environment, path string, limit time.Duration, idle bool) int {
	file, err := os.Create(path)
	if err != nil {
		e.complain("record: %v", err)
		return exitFailed
	}
	defer file.Close()
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	if limit > 0 {
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	scoped := *e
	scoped.ctx = ctx
	r := &recorder{environment: &scoped, out: json.NewEncoder(file), begun: time.Now(), parts: map[string]map[string]int64{}}
	events := make(chan control.Event, 1024)
	go scoped.follow(ctx, func(e control.Event) {
		select {
		case events <- e:
		default: // the samples go on
		}
	})
	if err := r.run(events, idle); err != nil {
		e.complain("record: %v", err)
		return exitFailed
	}
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) && limit == 0 && !idle {
		return exitOK // a pipe
	}
	return exitOK
}

type recorder struct {
	*environment
	out    *json.Encoder
	begun  time.Time
	before map[string]int64 // what each had received
	tally  client.Tally
	parts  map[string]map[string]int64 // octets by session and network, since the recording began or they did
}

func (r *recorder) run(events <-chan control.Event, idle bool) error {
	if err := r.out.Encode(entry{Record: recordVersion, Begun: r.begun}); err != nil {
		return err
	}
	tick := time.NewTicker(recordInterval)
	defer tick.Stop()
	seen := false
	for {
		select {
		case <-r.ctx.Done():
			return nil
		case e := <-events:
			if err := r.out.Encode(entry{At: e.At.Sub(r.begun).Seconds(), Event: &e}); err != nil {
				return err
			}
		case <-tick.C:
			active, err := r.sample()
			if err != nil || idle && seen && !active {
				return err
			}
			seen = seen || active
		}
	}
}

// sample writes what has changed; it returns whether anything is under way.
func (r *recorder) sample() (active bool, err error) {
	all, err := client.Processes()
	if err != nil {
		return false, err
	}
	at := time.Since(r.begun).Seconds()
	var list []sample
	now := map[string]int64{}
	changed := false
	var sessions []control.Session
	for _, a := range client.AskAll[[]control.Session](r.ctx, all, client.AnswerLimit, control.MethodSessions, nil) {
		sessions = append(sessions, a.Result...)
	}
	for id, parts := range r.tally.Take(sessions, true) {
		if r.parts[id] == nil {
			r.parts[id] = map[string]int64{}
		}
		for name, n := range parts {
			r.parts[id][name] += n
		}
	}
	for _, s := range sessions {
		list = append(list, sample{ID: s.ID, Name: nameOf(s), Command: commandName(s), Received: s.Received, Length: s.Length, Over: s.Interface,
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
	return active, r.out.Encode(entry{At: at, Sample: list})
}

// maxRecord bounds a line of a record, and maxEntries how many are read.
const (
	maxRecord  = 4 << 20
	maxEntries = 1 << 20
)

// readRecord reads what record has written. A last line that is cut off is left out.
func readRecord(in io.Reader) (begun time.Time, all []entry, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		var one entry
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			if n > 1 && !lines.Scan() {
				break
			}
			return begun, nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case n == 1 && one.Record != recordVersion:
			return begun, nil, errors.New("this is no record of midstreamctl record, or of another version")
		case n == 1:
			begun = one.Begun
		case len(all) == maxEntries:
			return begun, nil, errors.New("it is too long to be drawn")
		default:
			all = append(all, one)
		}
	}
	if begun.IsZero() && lines.Err() == nil {
		return begun, nil, errors.New("it is empty")
	}
	return begun, all, lines.Err()
}
