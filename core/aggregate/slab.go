// The octets that are held.
package aggregate

import "bytes"

// piece is what has come of a block. Its octets lie in one slab, which is given back when they have been delivered: a slice for each
// read would keep many times as much.
type piece struct {
	id         int
	path       *feeder
	place      *place
	first, end int64 // what is to come; end moves where less comes
	got        int64
	slab       []byte
	last       bool // goes up to the end, and is taken elsewhere
	torn       bool // its connection was given up: somebody may still be writing behind what has come
}

func (p *piece) at() int64 { return p.first + p.got }

// covers reports whether the octet is there.
func (p *piece) covers(at int64) bool { return p.slab != nil && p.first <= at && at < p.at() }

const (
	slabStep = 64 << 10
	// spare is how many octets of slabs are kept for the next blocks.
	spare = 2 << 20
)

// slabs keeps slabs for use again.
type slabs struct {
	free   [][]byte
	octets int
}

func (s *slabs) get(size int64) []byte {
	for i, slab := range s.free {
		if int64(cap(slab)) >= size && int64(cap(slab)) <= 2*size+slabStep {
			s.free = append(s.free[:i], s.free[i+1:]...)
			s.octets -= cap(slab)
			return slab[:size]
		}
	}
	return make([]byte, size, (size+slabStep-1)/slabStep*slabStep)
}

func (s *slabs) put(slab []byte) {
	if slab != nil && s.octets+cap(slab) <= spare {
		s.free = append(s.free, slab)
		s.octets += cap(slab)
	}
}

// differ returns the first octet from a up to z that two pieces have, and that is not the same in both; -1 if there is none.
func differ(p, q *piece, a, z int64) int64 {
	a, z = max(a, p.first, q.first), min(z, p.at(), q.at())
	if a >= z || p.slab == nil || q.slab == nil {
		return -1
	}
	x, y := p.slab[a-p.first:z-p.first], q.slab[a-q.first:z-q.first]
	if bytes.Equal(x, y) {
		return -1
	}
	for i := range x {
		if x[i] != y[i] {
			return a + int64(i)
		}
	}
	return -1
}
