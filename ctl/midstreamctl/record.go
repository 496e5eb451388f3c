// midstreamctl record: writes down how downloads go, for plot.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/ctl/client"
	"midstream/ctl/recording"
)

const recordLong = `Writes into FILE how the downloads go that there are, and those that begin: every tenth of
a second what each has received and over which network, and all events, a JSON object a
line. It ends when it is interrupted, or after --for; with --until-idle when what was being
downloaded has ended. midstreamctl plot makes a picture of it.`

const recordInterval = 100 * time.Millisecond

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
	if err := r.out.Encode(recording.Entry{Record: recording.Version, Begun: r.begun}); err != nil {
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
			if err := r.out.Encode(recording.Entry{At: e.At.Sub(r.begun).Seconds(), Event: &e}); err != nil {
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
	var list []recording.Sample
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
		list = append(list, recording.Sample{ID: s.ID, Name: nameOf(s), Command: commandName(s), Received: s.Received, Length: s.Length, Over: s.Interface,
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
	return active, r.out.Encode(recording.Entry{At: at, Sample: list})
}
