// Package playtime reads from the content that a program is handed how far it reaches in play time: time stamps of MPEG-TS (ISO/IEC
// 13818-1), and of the fragments of MP4 (ISO/IEC 14496-12). transport.go and fragments.go read the formats, clock.go has what a process has
// been handed of a film, whose segments are downloads of their own.
//
// Content does not pass through the core: now and then the octets that the shim keeps anyway, for proofs, are looked at. Where they are
// not kept, because a download is very fast, or have been written over, nothing is known.
package playtime

import (
	"bytes"
	"path"
	"strings"
	"time"
)

// window is how many octets are looked at, at most: as many as are kept.
const window = 64 << 10

// beginning is how many octets of the content's beginning are kept in any case: MS_BEGINNING.
const beginning = 4096

// Possible reports whether content of that type, and at that URL, may be such a film.
func Possible(contentType, url string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch kind = strings.TrimSpace(kind); {
	case strings.HasPrefix(kind, "video/"), strings.HasPrefix(kind, "audio/"), kind == "application/mp4":
		return true
	case kind == "", kind == "application/octet-stream", kind == "binary/octet-stream", kind == "text/vnd.trolltech.linguist":
		switch url, _, _ := strings.Cut(url, "?"); strings.ToLower(path.Ext(url)) {
		case ".ts", ".m2t", ".mts", ".mp4", ".m4s", ".m4v", ".m4a", ".cmfv", ".cmfa", ".mov":
			return true
		}
	}
	return false
}

// format is one of the two. Offsets are those of the content.
type format interface {
	// feed takes the octets from the offset at on, and returns from which offset on it has to see what follows.
	feed(octets []byte, at int64) (from int64)
	// begins returns the film's time with which this begins; only once reaches has returned one.
	begins() time.Duration
	// reaches returns the film's time up to which its first octets reach, as far as is known.
	reaches(octets int64) (time.Duration, bool)
}

// film finds out which format content has.
type film struct {
	scales *scales
	format format
	from   int64 // what follows is needed from here on
	alien  bool  // it has none
}

// feed takes octets up to the content offset end, the last ones; some before them may be missing.
func (f *film) feed(octets []byte, end int64) {
	at := end - int64(len(octets))
	switch {
	case f.alien || len(octets) == 0:
		return
	case f.format != nil:
	case isFragments(octets) && at == 0:
		f.format = &fragments{scales: f.scales}
	case bytes.IndexByte(octets[:min(len(octets), packet)], syncByte) >= 0 && synchronise(octets) >= 0:
		f.format = &transport{}
	default:
		f.alien = len(octets) >= 8*packet
		return
	}
	f.from = f.format.feed(octets, at)
}

// Source is an exchange whose content is looked at.
type Source interface {
	Received() int64
	Tail(end int64, limit int) []byte
	Over() bool
	Done() bool // it has all been received
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	idlePause  = 5 * time.Second  // where nothing comes
	jump       = 10 * time.Second // what lies so far before the last time stamp has not only come in another order
)

// Follow has the clock know what the source's content brings of the film at url, until that is over. It returns at once where it is none.
func Follow(s Source, c *Clock, url string) {
	f, line := film{scales: c.scales(url)}, c.line(url)
	began, known, last := time.Now(), false, time.Duration(0)
	for pause := firstPause; ; time.Sleep(pause) { // nothing announces what the program reads
		over, end := s.Over(), s.Received()
		before := f.from
		if at := min(end, beginning); f.from == 0 && end > window {
			f.feed(s.Tail(at, int(at)), at)
		}
		if end > f.from {
			f.feed(s.Tail(end, int(min(end-f.from, window))), end)
		}
		if f.alien {
			return
		}
		if f.format != nil {
			if at, ok := f.format.reaches(end); ok && c.takes(line, s, f.format.begins()) {
				if known && at < last-jump {
					began = time.Now() // of what follows the jump
				}
				if !known || !c.has(line, s) {
					c.begin(line, s, url, time.Now(), began, f.format.begins())
				}
				c.note(line, time.Now(), began, at)
				known, last = true, at
			}
		}
		if over {
			return
		}
		if n := end - before; n > 0 { // before half of what is kept has been written over
			pause = max(firstPause, min(time.Duration(float64(pause)*window/2/float64(n)), 2*pause, lastPause))
		} else {
			pause = min(2*pause, idlePause)
		}
	}
}
