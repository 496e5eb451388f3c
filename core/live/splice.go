// What a program is handed from the place on where a new connection continues its stream.
package live

import (
	"bytes"
	"errors"
	"io"
	"os"

	"midstream/core/reason"
)

// ErrDiffers says that the new connection has brought something else than what the program was handed meanwhile.
var ErrDiffers = error(reason.StreamDiffers)

// ErrInTitle says that the program has read a part of a title that is not the new server's.
var ErrInTitle = error(reason.StreamInTitle)

// ErrUnknown says that it is not known where the program stands.
var ErrUnknown = error(reason.StreamTitles)

// Program is what is known of what the program has been handed.
type Program struct {
	*Track
	// Tail returns the last octets of the content before the offset end, at most limit, as far as they are kept.
	Tail func(end int64, limit int) []byte
	// First is the sound that its own connection has begun with, as far as that is known.
	First []byte
	// Type is the media type.
	Type string
	// Gaps: where the place is not there any more, it goes on all the same, where a frame begins.
	Gaps bool
}

// Splice is a stream that is continued: what the program expects at the octet where it stands, from then on without end.
type Splice struct {
	p      Program
	at     int64  // content offset of the octet behind ahead's beginning: the program stands there, or has passed it
	ahead  []byte // sound from there on that has been read
	source *Untitled
	until  int64  // octets of sound before the next title
	write  []byte // to be handed out first
	gap    bool   // what is between is missing
}

// Gap reports whether octets are missing between what the program has been handed and what it is handed then.
func (s *Splice) Gap() bool { return s.gap }

// Brings waits for the first octet from the place on, where none has come. It returns the reader's error where there is none.
func (s *Splice) Brings() error {
	if len(s.ahead) > 0 {
		return nil
	}
	buffer := make([]byte, most)
	n, err := s.source.Read(buffer)
	s.ahead = buffer[:n]
	if n > 0 {
		return nil
	}
	return err
}

// Limit says when a search has come to nothing: after so many octets without a place, of a connection that is not known to be behind.
const Limit = 2 * Window

// longest bounds how much is read in a search in any case.
const longest = 8 * Window

var (
	// ErrNoOverlap says that what the new connection brings begins behind the place where the program stands.
	ErrNoOverlap = error(reason.StreamBehind)
	// ErrSeveral says that the place cannot be told from others.
	ErrSeveral = error(reason.StreamRepeats)
	// ErrLittle says that too little has been received, or is kept of it.
	ErrLittle = error(reason.StreamLittle)
)

// Arrivals says how the new connection's content comes.
type Arrivals interface {
	// More reports whether more of it has come already.
	More() bool
	// Late reports whether the server's burst, which is sent as fast as the network takes it, has to be over by now.
	Late() bool
}

// Find reads the new connection's content up to the place behind what the program has been handed up to the content offset at, and then
// what has come already: the place has to be there once. Its errors are those above, and the reader's.
func Find(p Program, at int64, source *Untitled, a Arrivals) (*Splice, error) {
	tail := p.Tail(at, Window)
	if p.Feed(tail, at); p.Lost() {
		p.Regain(tail, at)
	}
	if p.Lost() {
		return nil, ErrUnknown
	}
	had := p.Sound(tail, at)
	search := NewSearch(had)
	switch {
	case search == nil && len(had) < least:
		return nil, ErrLittle
	case search == nil:
		return nil, ErrSeveral
	}
	var got []byte
	buffer := make([]byte, 16<<10)
	for found := More; ; {
		n, err := source.Read(buffer)
		got = append(got, buffer[:n]...)
		if n > 0 || found == Here {
			var begin, here int
			found, begin, here = search.look(p, got)
			late := (len(got) >= Limit || a.Late()) && !search.Behind() || len(got) >= longest
			switch {
			case found == Here && err == nil && len(got) < Limit && (a.More() || search.little(here) && !a.Late()):
			case found == Here:
				return &Splice{p: p, at: at, ahead: got[begin+here:], source: source}, nil
			case found == Several:
				return nil, ErrSeveral
			case found == Other && late:
				return nil, ErrDiffers
			case found == Other: // the same piece has been sent before, and the place may come
			case late:
				return over(p, at, got, source)
			}
		}
		if found == Other && err != nil {
			return nil, ErrDiffers
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return over(p, at, got, source) // it was waited for long enough
		}
		if err != nil {
			return nil, err
		}
	}
}

// over goes on behind a gap, with the first frame of what has come, where that is allowed.
func over(p Program, at int64, got []byte, source *Untitled) (*Splice, error) {
	first := -1
	if p.Gaps {
		first = boundary(p.Type, got)
	}
	if first < 0 {
		return nil, ErrNoOverlap
	}
	return &Splice{p: p, at: at, ahead: got[first:], source: source, gap: true}, nil
}

// Nothing is the lead of a program whose connection brings no more.
const Nothing = -1

// Meet says from which content offset on the program may be continued, which has come to the offset at, before anything is done to its
// connection. That goes on delivering, and the program will be lead octets farther before anything can be done; or it brings Nothing. A
// program that is continued there, and not farther on, stands within no title of which the new server has other words.
func (s *Splice) Meet(at, lead int64) (int64, error) {
	if err := s.advance(at); err != nil || s.p.every == 0 {
		return at, err
	}
	if lead != Nothing {
		return s.p.outside(lead), nil
	}
	_, _, err := s.inTitle()
	return at, err
}

// Begin is told that the program has come to the content offset at, no earlier than where the search has found it, before anything is
// read. What it has been handed meanwhile is dropped, and has to be the same.
func (s *Splice) Begin(at int64) error {
	if err := s.advance(at); err != nil || s.p.every == 0 {
		return err
	}
	var err error
	if s.write, s.until, err = s.inTitle(); s.write != nil {
		s.source.take(len(s.ahead))
	}
	return err
}

// inTitle returns what is missing of the title that the program stands in, and how many octets of sound come then before the next one.
func (s *Splice) inTitle() (rest []byte, until int64, err error) {
	until, begun, missing := s.p.place()
	if missing == 0 {
		return nil, until, nil
	}
	read := s.p.Tail(s.at, int(s.at-begun))
	next := *s.source
	title := next.take(len(s.ahead))
	if int64(len(read)) != s.at-begun || int64(len(title)) != s.at-begun+missing || !bytes.HasPrefix(title, read) {
		return nil, 0, ErrInTitle
	}
	return title[len(read):], until, nil
}

// advance drops what the program has been handed up to the content offset at.
func (s *Splice) advance(at int64) error {
	if gap := at - s.at; gap > 0 {
		had := s.p.Tail(at, int(min(gap, Window)))
		if int64(len(had)) < gap {
			return ErrLittle
		}
		s.p.Feed(had, at)
		if s.p.Lost() {
			return ErrUnknown
		}
		had = s.p.Sound(had, at)
		if s.gap {
			return ErrDiffers // the old connection goes on
		}
		got := make([]byte, len(had))
		if _, err := io.ReadFull(s.sound(), got); err != nil {
			return err
		}
		if !bytes.Equal(got, had) {
			return ErrDiffers
		}
	}
	s.at = max(s.at, at)
	return nil
}

// sound reads what is there of the sound, and then what comes.
func (s *Splice) sound() io.Reader { return soundOf{s} }

type soundOf struct{ s *Splice }

func (r soundOf) Read(p []byte) (int, error) {
	if s := r.s; len(s.ahead) > 0 {
		n := copy(p, s.ahead)
		if s.ahead = s.ahead[n:]; len(s.ahead) == 0 {
			s.ahead = nil
		}
		return n, nil
	}
	return r.s.source.Read(p)
}

// Read implements io.Reader.
func (s *Splice) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.p.every > 0 && len(s.write) == 0 && s.until == 0 {
		s.write, s.until = s.source.take(len(s.ahead)), s.p.every
	}
	if len(s.write) > 0 {
		n := copy(p, s.write)
		s.write = s.write[n:]
		return n, nil
	}
	if s.p.every > 0 {
		p = p[:min(int64(len(p)), s.until)]
	}
	n, err := s.sound().Read(p)
	s.until -= int64(n)
	return n, err
}
