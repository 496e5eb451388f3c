// Titles of a station: after every so many octets of sound (icy-metaint) stands one octet that says how long the title is that
// follows, in units of 16 octets; mostly none does. Nothing standardises it; SHOUTcast has begun with it, and Icecast and all players
// have it so.
package live

import (
	"bytes"
	"io"
	"slices"
)

// unit is what the octet before a title counts, in octets.
const unit = 16

// span is where one stands in the content, the octet before it included.
type span struct{ from, to int64 }

// Track follows where titles stand in what a program has been handed. The zero value is of no use; it is used by one goroutine.
type Track struct {
	every  int64
	at     int64 // followed up to there
	next   int64 // where the octet before the next title stands
	blocks []span
	lost   bool
}

// NewTrack returns one for content that begins with every octets of sound; with 0, it has no titles.
func NewTrack(every int) *Track { return &Track{every: int64(every), next: int64(every)} }

// Clone returns one that goes on by itself.
func (t *Track) Clone() *Track {
	c := *t
	c.blocks = slices.Clone(t.blocks)
	return &c
}

// At returns up to which content offset it has been told what the content is.
func (t *Track) At() int64 { return t.at }

// Lost reports whether it does not know any more where titles stand.
func (t *Track) Lost() bool { return t.lost }

// Feed takes the octets up to the content offset end, of which it may have been given some before.
func (t *Track) Feed(octets []byte, end int64) {
	from := end - int64(len(octets))
	if t.every == 0 {
		t.at = max(t.at, end)
		return
	}
	if t.lost || end <= t.at {
		return
	}
	for t.next < end {
		if t.next < from {
			// What says where the one after that stands has not been seen.
			t.lost = true
			return
		}
		block := span{t.next, t.next + 1 + unit*int64(octets[t.next-from])}
		t.blocks = append(t.blocks, block)
		t.next = block.to + t.every
	}
	t.at = end
	for len(t.blocks) > 0 && t.blocks[0].to < t.at-2*Window {
		t.blocks = t.blocks[1:]
	}
}

// regained is how many octets before titles have to stand where they should, for the place of the titles to be known again.
const regained = 3

// Regain finds out again where titles stand, from the last octets up to the content offset end: the one phase in which all that stand
// there are empty, or begin as titles do.
func (t *Track) Regain(octets []byte, end int64) {
	if int64(len(octets)) < (regained+1)*(t.every+1)+255*unit {
		return // another phase, of which too few titles are here, could be the right one
	}
	from, found := end-int64(len(octets)), int64(-1)
	for phase := int64(0); phase <= t.every && phase < int64(len(octets)); phase++ {
		if titles(octets[phase:], t.every) < regained {
			continue
		}
		if found >= 0 {
			return
		}
		found = phase
	}
	if found >= 0 {
		t.blocks, t.next, t.at, t.lost = nil, from+found, from, false
		t.Feed(octets, end)
	}
}

// titles counts the octets before titles in what begins with one; 0 if one of them cannot be.
func titles(octets []byte, every int64) (count int) {
	for at := int64(0); at < int64(len(octets)); count++ {
		length := unit * int64(octets[at])
		text := octets[at+1 : min(at+1+length, int64(len(octets)))]
		if n := min(len(text), len(begins)); string(text[:n]) != begins[:n] {
			return 0
		}
		at += 1 + length + every
	}
	return count
}

// begins is how every title does: StreamTitle='…';, and what may follow.
const begins = "Stream"

// Sound returns the octets up to the content offset end without the titles. It must have been fed up to there.
func (t *Track) Sound(octets []byte, end int64) []byte {
	if t.every == 0 {
		return octets
	}
	from := end - int64(len(octets))
	out := make([]byte, 0, len(octets))
	for _, b := range t.blocks {
		if b.to <= from || b.from >= end {
			continue
		}
		if b.from > from {
			out = append(out, octets[:b.from-from]...)
		}
		octets = octets[min(b.to, end)-from:]
		from = min(b.to, end)
	}
	return append(out, octets...)
}

// place returns what the program expects next where it stands at the content offset that has been reached: so many octets of sound
// before the next title; inside one, which has begun at the offset begun, how many of its octets are missing.
func (t *Track) place() (until int64, begun, missing int64) {
	if n := len(t.blocks); n > 0 && t.blocks[n-1].to > t.at {
		b := t.blocks[n-1]
		return t.every, b.from, b.to - t.at
	}
	return t.next - t.at, 0, 0
}

// outside returns a content offset within no title that the program, which will be lead octets farther soon, comes to next.
func (t *Track) outside(lead int64) int64 {
	until, _, missing := t.place()
	if missing > 0 {
		return t.at + missing
	}
	return t.at + min(until, lead)
}

// Outside is where a program that has been handed so much up to the content offset end, and will be lead octets farther soon, comes to
// within no title; false where that is not known.
func (t *Track) Outside(octets []byte, end, lead int64) (int64, bool) {
	t.Feed(octets, end)
	if t.every == 0 || t.lost || t.at != end {
		return 0, false
	}
	return t.outside(lead), true
}

// Untitled reads the sound of a stream that has titles, and keeps those that nobody has taken. It is used by one goroutine.
type Untitled struct {
	r      io.Reader
	every  int
	left   int   // octets of sound before the next title
	read   int64 // octets of sound that have been read
	titles []title
	last   []byte // that was taken
}

// title is one, with the octet before it, that stands before the octet at of the sound.
type title struct {
	at     int64
	octets []byte
}

// NewUntitled reads from r, whose content begins with every octets of sound; with 0, it has no titles.
func NewUntitled(r io.Reader, every int) *Untitled { return &Untitled{r: r, every: every, left: every} }

// Read implements io.Reader; its errors are those of the reader under it.
func (u *Untitled) Read(p []byte) (int, error) {
	if u.every == 0 || len(p) == 0 {
		return u.r.Read(p)
	}
	if u.left == 0 {
		if err := u.readTitle(); err != nil {
			return 0, err
		}
	}
	n, err := u.r.Read(p[:min(len(p), u.left)])
	u.left -= n
	u.read += int64(n)
	return n, err
}

func (u *Untitled) readTitle() error {
	octets := make([]byte, 1, 1+unit*255)
	if _, err := io.ReadFull(u.r, octets); err != nil {
		return err
	}
	octets = octets[:1+unit*int(octets[0])]
	if _, err := io.ReadFull(u.r, octets[1:]); err != nil {
		return err
	}
	u.left = u.every
	if len(octets) > 1 {
		u.titles = append(u.titles, title{u.read, octets})
	}
	return nil
}

// take returns the last title, with the octet before it, that stands before what is left of the sound that has been read, if it is a new
// one; else that octet alone, of an empty one.
func (u *Untitled) take(left int) []byte {
	octets := []byte{0}
	for len(u.titles) > 0 && u.titles[0].at <= u.read-int64(left) {
		if !bytes.Equal(u.titles[0].octets, u.last) {
			octets = u.titles[0].octets
			u.last = octets
		}
		u.titles = u.titles[1:]
	}
	return octets
}
