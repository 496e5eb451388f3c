// Where in a new connection's content the place is that the program has come to.
package live

import (
	"bytes"
	"compress/flate"
)

const (
	// least is how many of the last octets have to be found, most that so many are looked for at first; more where these stand more
	// than once in what the program was handed.
	least = 2 << 10
	most  = 4 << 10
)

// Found is what a search has come to so far.
type Found int

const (
	More    Found = iota // it is not there yet, and may come
	Here                 // it is there, once
	Several              // nothing tells one place from another
	Other                // what stands before every such place so far is something else
)

// Search looks for the place behind the last octets of what a program has been handed. It is used by one goroutine.
type Search struct {
	had   []byte
	probe []byte // the end of had
	began int    // where the new content begins in had, -1 not known
	seen  int    // of the new content, looked through
}

// NewSearch looks for the end of had. It returns nil where that says nothing: it is too short, or it repeats itself, as silence does.
func NewSearch(had []byte) *Search {
	had = had[max(0, len(had)-Window):]
	if len(had) < least || repeats(had) {
		return nil
	}
	s := &Search{had: had, began: -1}
	for n := min(most, len(had)); ; n = min(2*n, len(had)) {
		s.probe = had[len(had)-n:]
		once := bytes.Index(had, s.probe) == len(had)-n
		if once && !periodic(s.probe) {
			return s
		}
		if n == len(had) {
			return nil
		}
	}
}

// repeats reports whether the last octets can be told in much fewer ones, as those of a coder that has been given silence: frames that
// are alike, in a pattern of padding that may be longer than what is looked for, come again at each of its periods.
func repeats(had []byte) bool {
	told := had[max(0, len(had)-4*most):]
	var size counter
	w, _ := flate.NewWriter(&size, flate.BestSpeed) // fails for another level only
	w.Write(told)
	w.Close()
	return int(size) < len(told)*3/4
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// periodic reports whether the octets are a shorter piece that is repeated, twice at least but for the rest of the last time.
func periodic(p []byte) bool {
	// The longest proper prefix that is also a suffix, for each prefix (Knuth, Morris and Pratt).
	border := make([]int, len(p)+1)
	for i, k := 1, 0; i < len(p); i++ {
		for k > 0 && p[i] != p[k] {
			k = border[k]
		}
		if p[i] == p[k] {
			k++
		}
		border[i+1] = k
	}
	return len(p)-border[len(p)] <= len(p)/2
}

// Look takes all that has come on the new connection so far. With Here, at is how many octets of it are before the place: of the places
// behind the probe, that one before which all that both have is equal. The others, as after a piece that is sent again and again, have to be
// less alike by far.
func (s *Search) Look(got []byte) (found Found, at int) {
	if s.began < 0 && len(got) >= least {
		if i := bytes.Index(s.had, got[:least]); i >= 0 && bytes.LastIndex(s.had, got[:least]) == i {
			s.began = i
		}
	}
	s.seen = len(got)
	whole, others := 0, 0 // places, and the most octets that are equal before another one
	for from := 0; ; {
		next := bytes.Index(got[from:], s.probe)
		if next < 0 {
			break
		}
		from += next + 1
		end := from - 1 + len(s.probe)
		both := min(end, len(s.had))
		if n := equalBefore(got[:end], s.had); n < both {
			others = max(others, n)
			continue
		}
		whole++
		at = end
	}
	switch {
	case whole == 0 && others == 0:
		return More, 0
	case whole == 0:
		return Other, 0
	case whole > 1 || others > 0 && min(at, len(s.had)) < others+least:
		return Several, 0
	}
	return Here, at
}

// equalBefore is how many octets at the ends of both are equal.
func equalBefore(a, b []byte) (n int) {
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// look is Look, with where what it has looked at begins in what has come: behind what every listener is sent first. That is the headers of
// Ogg; and, where nothing else helps, a station's welcome, with which the program's own connection has begun as well.
func (s *Search) look(p Program, got []byte) (found Found, begin, at int) {
	begin = headers(p.Type, got)
	if found, at = s.Look(got[begin:]); found == Other {
		if n := equalAtFirst(p.First, got[begin:]); n >= least {
			begin += n
			found, at = s.Look(got[begin:])
		}
	}
	return found, begin, at
}

// equalAtFirst is how many octets at the beginnings of both are equal.
func equalAtFirst(a, b []byte) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// little reports whether so little of the new content stands before a place that the same may well come once more, soon.
func (s *Search) little(at int) bool { return at < min(len(s.had), 4*most) }

// Behind reports whether the new content is known to begin before the place, which is still to come then: it begins with what the
// program has been handed, and has not got beyond that.
func (s *Search) Behind() bool { return s.began >= 0 && s.seen < len(s.had)-s.began+most }
