package client

import (
	"slices"

	"midstream/core/control"
)

// Segment is a part of a download's content that came over one network.
type Segment struct {
	Interface string
	From, To  int64 // octets of content
}

// Segments are those of a session, in order.
func Segments(s control.Session) (all []Segment) {
	at, iface := int64(0), s.Interface
	if len(s.Migrations) > 0 {
		iface = s.Migrations[0].From.Interface
	}
	for _, m := range s.Migrations {
		if m.Offset < at { // of an earlier exchange on the same connection
			all, at = nil, 0
		}
		if m.Offset > at {
			all = append(all, Segment{iface, at, min(m.Offset, s.Received)})
		}
		at, iface = m.Offset, m.To.Interface
	}
	if s.Received > at {
		all = append(all, Segment{iface, at, s.Received})
	}
	return slices.DeleteFunc(all, func(g Segment) bool { return g.To <= g.From })
}
