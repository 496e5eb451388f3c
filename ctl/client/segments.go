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
	if len(s.Paths) > 0 {
		return together(s)
	}
	at, iface := int64(0), s.Interface
	if len(s.Migrations) > 0 {
		iface = s.Migrations[0].From.Interface
	}
	for _, m := range s.Migrations {
		if m.Offset < at { // those before were of an earlier exchange on the same connection
			all, at = nil, 0
		}
		if m.Offset > s.Received { // this one was
			all, at, iface = nil, 0, m.To.Interface
			continue
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

// together are those of a session that several networks feed: how much each has brought, not where it lies.
func together(s control.Session) (all []Segment) {
	at := int64(0)
	for _, p := range s.Paths {
		if to := min(at+max(p.Octets, 0), s.Received); to > at {
			all = append(all, Segment{p.Interface, at, to})
			at = to
		}
	}
	if s.Received > at { // before they were several
		all = append([]Segment{{s.Interface, 0, s.Received - at}}, all...)
		for i := range all[1:] {
			all[i+1].From += s.Received - at
			all[i+1].To += s.Received - at
		}
	}
	return all
}

// Tally counts what has come over which network, look by look.
type Tally struct {
	parts    map[string]map[string]int64 // by session, as it was at the last look
	received map[string]int64
}

// Take returns how many octets have come since the last look, by session and network. Of a session that is seen for the first time
// that is all of them with whole, else none.
func (t *Tally) Take(list []control.Session, whole bool) map[string]map[string]int64 {
	parts, received, come := map[string]map[string]int64{}, map[string]int64{}, map[string]map[string]int64{}
	for _, s := range list {
		now := map[string]int64{}
		for _, g := range Segments(s) {
			now[g.Interface] += g.To - g.From
		}
		before, known := t.parts[s.ID]
		grown := s.Received - t.received[s.ID]
		if grown < 0 { // another exchange has begun on the same connection
			before, grown = nil, s.Received
		}
		more, sum := map[string]int64{}, int64(0)
		for name, n := range now {
			if d := n - before[name]; d > 0 {
				more[name] = d
				sum += d
			}
		}
		// Whose part something is may be seen otherwise than at the last look; what has come in all is not.
		if sum > grown {
			for name, d := range more {
				more[name] = int64(float64(d) * float64(grown) / float64(sum))
			}
		}
		if known || whole {
			come[s.ID] = more
		}
		parts[s.ID], received[s.ID] = now, s.Received
	}
	t.parts, t.received = parts, received
	return come
}
