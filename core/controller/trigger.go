// What a person asks for over the control socket.
package controller

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/netif"
)

// Sessions implements control.Handler.
func (c *Controller) Sessions() []control.Session {
	streams := c.all("")
	c.askQuiet(context.Background(), streams)
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	list := make([]control.Session, 0, len(streams))
	for _, s := range streams {
		list = append(list, s.session())
	}
	return list
}

// Migrate implements control.Handler: it moves the selected streams, all at once, and returns when each has moved
// or failed.
func (c *Controller) Migrate(ctx context.Context, p control.MigrateParams) (control.MigrateResult, error) {
	if _, err := netif.ByName(p.To); err != nil {
		return control.MigrateResult{}, err
	}
	if i, ok := c.manager.Interface(p.To); ok && i.Never {
		return control.MigrateResult{}, fmt.Errorf("migrate to %s: the configuration says never", p.To)
	}
	limit := c.config.Migration.Timeout
	if p.TimeoutMS > 0 {
		limit = time.Duration(p.TimeoutMS) * time.Millisecond
	}
	streams := c.of(p.PID, c.all(p.Session))
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	c.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger, PID: c.pid, Session: p.Session,
		Text: "asked to move to " + p.To, Fields: map[string]any{"to": p.To, "streams": len(streams)}})
	results := make([]control.StreamResult, len(streams))
	var wg sync.WaitGroup
	for i, s := range streams {
		wg.Add(1)
		go func() {
			defer guard.Recover()
			defer wg.Done()
			results[i] = control.StreamResult{ID: s.name()}
			ctx, cancel := lease.With(ctx, limit)
			defer cancel()
			m, err := s.mover.Migrate(ctx, p.To, triggerPerson)
			if err != nil {
				results[i].Reason = err.Error()
				return
			}
			results[i].OK, results[i].Migration = true, m
		}()
	}
	wg.Wait()
	return control.MigrateResult{Streams: results}, nil
}

// What a migration's record says asked for it.
const triggerPerson = "request"

// of leaves those of a process among streams; 0, or this process itself, means all.
func (c *Controller) of(pid int, streams []*Stream) []*Stream {
	if pid == 0 || pid == c.pid {
		return streams
	}
	return slices.DeleteFunc(streams, func(s *Stream) bool { return s.owner.PID != pid })
}
