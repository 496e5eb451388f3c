// Several networks feed a stream together: what package together has to know of it, and what a person asks for.
package controller

import (
	"context"
	"sort"

	"midstream/core/control"
	"midstream/core/reason"
	"midstream/core/together"
)

// fed is a stream as whoever has several networks feed it sees it.
type fed struct{ moved }

var _ together.Stream = fed{}

// Waits implements together.Stream.
func (s fed) Waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.flow.Unread
}

// Failing implements together.Stream.
func (s fed) Failing() bool { return s.inNeed.Load() }

// OfOne implements together.Stream.
func (s fed) OfOne() reason.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tls.OfOne()
}

// aggregate lets several networks feed the selected streams together, or one again, as a person says.
func (c *Controller) aggregate(ctx context.Context, p control.AggregateParams) control.MigrateResult {
	result := control.MigrateResult{Streams: []control.StreamResult{}}
	streams := c.all(p.Session)
	c.askQuiet(ctx, streams)
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	for _, s := range streams {
		r := control.StreamResult{ID: s.name(), OK: true}
		if err := s.feeding.Wish(ctx, p.On); err != nil {
			r.OK, r.Reason = false, err.Error()
		}
		result.Streams = append(result.Streams, r)
	}
	return result
}
