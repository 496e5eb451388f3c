// Fragmented MP4: each movie fragment (moof) says when it begins (tfdt), and how long its samples last (trun).
package playtime

import (
	"bytes"
	"encoding/binary"
	"sync"
	"time"
)

// isFragments reports whether a file that begins so is one of boxes.
func isFragments(octets []byte) bool {
	if len(octets) < 8 {
		return false
	}
	switch string(octets[4:8]) {
	case "ftyp", "styp", "moof", "moov", "sidx", "emsg", "prft":
		return true
	}
	return false
}

// scale is what has to be known of a track: units a second, and how many a sample lasts where its fragment does not say.
type scale struct{ units, sample uint32 }

// scales are the tracks of a film, of which initialisation segments tell: by the track's number, as all of those in one folder have it.
// Safe for concurrent use.
type scales struct {
	mu     sync.Mutex
	tracks map[uint32]scale // units is 0 where they contradict each other
}

const maxTracks = 64

func (s *scales) set(track uint32, to scale) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tracks == nil {
		s.tracks = map[uint32]scale{}
	}
	is, known := s.tracks[track]
	switch {
	case known && is.units != to.units:
		s.tracks[track] = scale{}
	case known && is.sample != to.sample:
		s.tracks[track] = scale{units: is.units}
	case !known && len(s.tracks) < maxTracks:
		s.tracks[track] = to
	}
}

func (s *scales) of(track uint32) scale {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks[track]
}

// fragments is a film in this format.
type fragments struct {
	scales *scales
	own    scales // of the index in front of a segment (sidx)
	next   int64  // offset of the next box

	known      bool
	first      time.Duration // of the first fragment seen
	begin, end time.Duration // of the last fragment
	from, to   int64         // its octets, 0 to: that is not known
}

func (f *fragments) begins() time.Duration { return f.first }

func (f *fragments) reaches(octets int64) (time.Duration, bool) {
	switch {
	case !f.known || octets <= f.from || f.end <= f.begin:
		return f.begin, f.known
	case f.to > 0 && octets >= f.to:
		return f.end, true
	case f.to == 0:
		return f.begin, true
	}
	return f.begin + time.Duration(float64(f.end-f.begin)*float64(octets-f.from)/float64(f.to-f.from)), true
}

// box returns the kind and content of the box at the beginning of octets, which may be cut off, and its length; 0: there is not enough to
// tell, -1: it is none.
func box(octets []byte) (kind string, content []byte, length int64) {
	if len(octets) < 8 {
		return "", nil, 0
	}
	length, head := int64(binary.BigEndian.Uint32(octets)), int64(8)
	if length == 1 {
		if len(octets) < 16 {
			return "", nil, 0
		}
		length, head = int64(binary.BigEndian.Uint64(octets[8:])), 16
	}
	if length < head {
		return "", nil, -1 // 0, up to the end, is none that anything follows
	}
	return string(octets[4:8]), octets[head:min(int64(len(octets)), length)], length
}

// each calls do with the boxes in octets that are there as a whole.
func each(octets []byte, do func(kind string, content []byte)) {
	for {
		kind, content, length := box(octets)
		if length <= 0 || length > int64(len(octets)) {
			return
		}
		do(kind, content)
		octets = octets[length:]
	}
}

func (f *fragments) feed(octets []byte, at int64) int64 {
	end := at + int64(len(octets))
	if f.next < at {
		// Where the next box begins is not kept any more: the next fragment is looked for.
		i := bytes.Index(octets, []byte("moof"))
		if i < 4 || len(octets) < i+12 || string(octets[i+8:i+12]) != "mfhd" {
			return end
		}
		f.next = at + int64(i) - 4
	}
	for f.next < end {
		kind, content, length := box(octets[f.next-at:])
		if length < 0 {
			f.next = 1 << 62
			return end
		}
		whole := length > 0 && f.next+length <= end
		if length == 0 || !whole && kind != "mdat" && length <= window/2 {
			return f.next // to be seen as a whole
		}
		switch {
		case kind == "mdat" && f.known && f.to == 0:
			f.to = f.next + length
		case !whole:
		case kind == "moov":
			f.movie(content)
		case kind == "sidx":
			f.index(content)
		case kind == "moof":
			f.fragment(content)
		}
		if length > 1<<61-f.next {
			f.next = 1 << 62
			return end
		}
		f.next += length
	}
	return min(f.next, end)
}

// full returns the version and flags of a full box, and what follows; ok: that has n octets at least.
func full(content []byte, n int) (version byte, flags uint32, rest []byte, ok bool) {
	if len(content) < 4+n {
		return 0, 0, nil, false
	}
	return content[0], binary.BigEndian.Uint32(content) & 0xffffff, content[4:], true
}

// movie takes the tracks of a moov.
func (f *fragments) movie(content []byte) {
	units, samples := map[uint32]uint32{}, map[uint32]uint32{}
	each(content, func(kind string, content []byte) {
		switch kind {
		case "trak":
			var track, scale uint32
			each(content, func(kind string, content []byte) {
				if kind == "tkhd" {
					if version, _, b, ok := full(content, 20); ok {
						track = binary.BigEndian.Uint32(b[8+8*min(int(version), 1):])
					}
				}
				if kind != "mdia" {
					return
				}
				each(content, func(kind string, content []byte) {
					if version, _, b, ok := full(content, 20); ok && kind == "mdhd" {
						scale = binary.BigEndian.Uint32(b[8+8*min(int(version), 1):])
					}
				})
			})
			if len(units) < maxTracks {
				units[track] = scale
			}
		case "mvex":
			each(content, func(kind string, content []byte) {
				if _, _, b, ok := full(content, 20); ok && kind == "trex" && len(samples) < maxTracks {
					samples[binary.BigEndian.Uint32(b)] = binary.BigEndian.Uint32(b[8:])
				}
			})
		}
	})
	for track, n := range units {
		f.scales.set(track, scale{n, samples[track]})
	}
}

// index takes a sidx, in front of the segment that it is of.
func (f *fragments) index(content []byte) {
	if _, _, b, ok := full(content, 8); ok {
		track := binary.BigEndian.Uint32(b)
		f.own.set(track, scale{binary.BigEndian.Uint32(b[4:]), f.scales.of(track).sample})
	}
}

// fragment takes a moof at f.next: of several tracks, the one whose fragment ends first.
func (f *fragments) fragment(content []byte) {
	first, before := true, f.known
	each(content, func(kind string, content []byte) {
		if kind != "traf" {
			return
		}
		begin, end, ok := f.run(content)
		if ok && (first || end < f.end) {
			f.known, f.begin, f.end, f.from, f.to, first = true, begin, end, f.next, 0, false
		}
	})
	if !before {
		f.first = f.begin
	}
}

// run returns when a track's fragment begins and ends.
func (f *fragments) run(content []byte) (begin, end time.Duration, ok bool) {
	var s scale
	var at, lasts uint64
	each(content, func(kind string, content []byte) {
		version, flags, b, whole := full(content, 4)
		switch {
		case !whole:
		case kind == "tfhd":
			track := binary.BigEndian.Uint32(b)
			if s = f.own.of(track); s.units == 0 {
				s = f.scales.of(track)
			}
			skip := 4 + 8*int(flags&1) + 4*int(flags>>1&1)
			if flags&8 != 0 && len(b) >= skip+4 {
				s.sample = binary.BigEndian.Uint32(b[skip:])
			}
		case kind == "tfdt" && version == 0:
			at, ok = uint64(binary.BigEndian.Uint32(b)), true
		case kind == "tfdt" && len(b) >= 8:
			at, ok = binary.BigEndian.Uint64(b), true
		case kind == "trun":
			lasts += duration(b, flags, s.sample)
		}
	})
	if s.units == 0 || at/uint64(s.units) > maxSeconds || lasts/uint64(s.units) > maxSeconds {
		return 0, 0, false
	}
	begin = seconds(at, s.units)
	return begin, begin + seconds(lasts, s.units), ok
}

// maxSeconds is for how long a film may last, and a fragment: 60 years, as clocks since 1970 have it.
const maxSeconds = 60 * 366 * 86400

func seconds(n uint64, units uint32) time.Duration {
	whole, part := n/uint64(units), n%uint64(units)
	return time.Duration(whole)*time.Second + time.Duration(float64(part)/float64(units)*float64(time.Second))
}

// duration is how long the samples of a trun last together.
func duration(b []byte, flags, each uint32) (all uint64) {
	count := uint64(binary.BigEndian.Uint32(b))
	if flags&0x100 == 0 {
		return count * uint64(each)
	}
	b = b[min(len(b), 4+4*int(flags&1)+4*int(flags>>2&1)):]
	one := 4 * (1 + int(flags>>9&1) + int(flags>>10&1) + int(flags>>11&1))
	for ; count > 0 && len(b) >= one; count-- {
		all += uint64(binary.BigEndian.Uint32(b))
		b = b[one:]
	}
	return all
}
