// Other URLs that are said to have the content of an exchange (package detour).
package controller

import (
	"context"

	"midstream/core/detour"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/resume"
)

var _ detour.Stream = (*Stream)(nil)

// Elsewhere implements recovery.Stream and migration.Stream.
func (s *Stream) Elsewhere(e *exchange.Exchange) []elsewhere.Place {
	return s.c.detours.Elsewhere(e, s.opened.Peer.String())
}

// Foreign implements migration.Stream.
func (s *Stream) Foreign(iface string, p elsewhere.Place, e *exchange.Exchange) (*http1.Request, resume.Destination, error) {
	return s.c.detours.Foreign(s, iface, p, e)
}

// Describe implements recovery.Stream and migration.Stream.
func (s *Stream) Describe(ctx context.Context, interfaces []string, e *exchange.Exchange) {
	s.c.detours.Describe(ctx, s, interfaces, e)
}

// Pieces implements migration.Stream.
func (s *Stream) Pieces(e *exchange.Exchange) *metalink.Pieces { return s.c.detours.Pieces(e) }
