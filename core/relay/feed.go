// Continuing the framing that the program has begun to read.
package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"midstream/core/channel"
	"midstream/core/http1"
)

// maxDigits is how many hexadecimal digits of a chunk size programs accept, leading zeros included: curl takes 16.
const maxDigits = 16

// ErrUnfit says that the new content cannot be what the program has begun to receive: it has read a chunk
// size that does not fit.
var ErrUnfit = errors.New("the new content does not fit the framing that the program has begun to read")

// ErrInTrailer says that the program stands inside a trailer field, which nobody else can finish.
var ErrInTrailer = errors.New("the program is reading a trailer field")

// Feed writes the rest of a response as its reader expects it.
type Feed struct {
	To      net.Conn
	Content *Content         // its next octet is the one that the program has to be handed next
	At      channel.Position // where the program stands
	Kind    http1.Kind       // of the framing that the program reads
	Left    int64            // octets of content still to be delivered, or Unknown
	Longer  bool             // the answer goes on after them
	Whole   bool             // the answer is that to the request itself: its trailer section is handed on as well
	Ending  []byte           // what ends the response where the program stands in its trailer section, if that is known

	// CutThrough, if set, is asked where the next octets on both connections are the same: length of them, all of it content, or,
	// with ToTheEnd, all that is left of the response. If it reports true, Run returns that length, and the content's
	// connection has exactly these octets next, or, where Content.Within says so, these and chunk framing. It is not asked
	// about less than CutLeast.
	CutThrough func() bool
	CutLeast   int64
	// Alike says that the answer has the program's framing, so that it may be left to itself.
	Alike bool
	// Sent counts the octets of content that have been delivered.
	Sent int64

	begun bool
	read  digits // of the present chunk-size line
	chunk int64  // octets of content to be delivered until the program expects framing again
	bare  bool   // nothing of them has been delivered
}

// ToTheEnd is what Run returns where all that is left of the response is as the program expects it.
const ToTheEnd = Unknown

// Fits reports whether a response can be continued from the position with left octets (or Unknown) of content.
func Fits(at channel.Position, left int64) error {
	_, _, err := begin(at, left)
	return err
}

// digits is what the program has read of a chunk size: zeros only, as any other size is completed first.
type digits int

const none digits = -1 // it does not stand in a chunk-size line

// begin returns what brings the program to the next octet of content of the chunk it stands in (run octets of it are
// to come), or into a chunk-size line (run is 0), or to the end of the response (run is Unknown).
func begin(at channel.Position, left int64) (write string, run int64, err error) {
	inChunk := func(write string, n int64) (string, int64, error) {
		if left >= 0 && n > left {
			return "", 0, ErrUnfit
		}
		return write, n, nil
	}
	end := func(write string) (string, int64, error) {
		if left > 0 {
			return "", 0, ErrUnfit
		}
		return write, Unknown, nil
	}
	switch at.Phase {
	case channel.PhaseChunkData:
		return inChunk("", at.ChunkLeft)
	case channel.PhaseChunkDataCR:
		return "\r\n", 0, nil
	case channel.PhaseChunkDataLF:
		return "\n", 0, nil
	case channel.PhaseChunkSize:
		if at.ChunkSize > 0 {
			return inChunk("\r\n", at.ChunkSize)
		}
		if at.ChunkDigits >= maxDigits && left != 0 {
			return end("\r\n\r\n")
		}
		return "", 0, nil
	case channel.PhaseChunkExt, channel.PhaseChunkSizeLF:
		line := "\n"
		if at.Phase == channel.PhaseChunkExt {
			line = "\r\n"
		}
		if at.ChunkSize > 0 {
			return inChunk(line, at.ChunkSize)
		}
		return end(line + "\r\n")
	case channel.PhaseTrailer:
		switch {
		case at.Line > 0 && at.CR:
			return end("\n\r\n") // the field is complete
		case at.Line > 0:
			return "", 0, ErrInTrailer
		case at.CR:
			return end("\n")
		}
		return end("\r\n")
	}
	return "", 0, nil
}

// Run writes all of it, and returns 0, or as much as CutThrough allows; it can be called again then, to write the rest all the
// same. Errors are those of Copy, and ErrUnfit: what was written before it is right, what would follow is not known.
func (f *Feed) Run() (cut int64, err error) {
	switch f.Kind {
	case http1.Length, http1.Close:
		if f.Left >= 0 {
			f.chunk = f.Left
			if cut, err = f.copy(); cut != 0 || err != nil {
				return cut, err
			}
		} else if err := f.copyAll(); err != nil {
			return 0, err
		}
		return 0, f.finish("")
	case http1.Chunked:
		return f.chunked()
	}
	return 0, fmt.Errorf("a response with framing %v cannot be continued", f.Kind)
}

// sent counts.
func (f *Feed) sent(n int64) {
	f.Sent += n
	if f.Left >= 0 {
		f.Left -= n
	}
}

// copy delivers f.chunk octets of content, but for those that CutThrough allows.
func (f *Feed) copy() (cut int64, err error) {
	for f.chunk > 0 {
		piece := f.chunk
		if f.bare {
			piece = min(f.chunk, lead)
		} else if f.CutThrough != nil && !f.Alike && f.chunk >= f.CutLeast {
			run, err := f.Content.together(f.chunk)
			if err != nil {
				return 0, err
			}
			if 0 < run && run < f.CutLeast && f.Content.Within(f.chunk) > 0 {
				run = f.chunk // in small chunks
			}
			if f.Kind == http1.Length {
				run = min(run, f.Left-1) // with the last octet the response is over for the program
			}
			if run >= f.CutLeast && f.CutThrough() {
				return run, nil
			}
			piece = min(f.chunk, max(f.CutLeast/16, 1))
			if n := f.Content.atHand(piece); n > 0 {
				piece = n // only a connection of which nothing has been read ahead can be left to the program
			}
		}
		if err := f.Content.CopyTo(f.To, piece); err != nil {
			return 0, err
		}
		f.chunk -= piece
		f.bare = false
		f.sent(piece)
	}
	return 0, nil
}

// lead is what follows a chunk's beginning at least before anything else is done, in octets: where the program stands is
// told by the octets of content that it has received, and that must mean that it has read the chunk-size line.
const lead = 1

// finish reads the answer to its end, which must be here, and writes the last octets.
func (f *Feed) finish(last string) error {
	if !f.Longer && f.Content.kind != http1.Close {
		if _, err := f.Content.Run(); err == nil {
			return ErrUnfit
		} else if err != io.EOF {
			return err
		}
	}
	_, err := io.WriteString(f.To, last)
	return err
}

// end is finish for a chunked response, after its last chunk's size line, or what is missing of that.
func (f *Feed) end(line string) error {
	if err := f.finish(line); err != nil {
		return err
	}
	trailer := ""
	if f.Whole {
		trailer = string(f.Content.Trailer())
	}
	_, err := io.WriteString(f.To, trailer+"\r\n")
	return err
}

func (f *Feed) copyAll() error {
	for {
		run, err := f.Content.Run()
		if err == io.EOF {
			return nil
		}
		if err == nil && run == Unknown {
			n, err := Copy(f.To, f.Content.conn, -1)
			f.sent(n)
			f.Content.done = true
			return err
		}
		if err == nil {
			if err = f.Content.CopyTo(f.To, run); err == nil {
				f.sent(run)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (f *Feed) chunked() (cut int64, err error) {
	if f.Ending != nil {
		return 0, f.finish(string(f.Ending))
	}
	if !f.begun {
		f.begun = true
		write, run, err := begin(f.At, f.Left)
		switch {
		case err != nil:
			return 0, err
		case run == Unknown && f.At.Phase == channel.PhaseTrailer:
			return 0, f.finish(write)
		case run == Unknown:
			return 0, f.end(strings.TrimSuffix(write, "\r\n"))
		}
		if _, err := io.WriteString(f.To, write); err != nil {
			return 0, err
		}
		if f.At.Phase == channel.PhaseChunkSize && run == 0 {
			f.read = digits(f.At.ChunkDigits)
		}
		if run > 0 {
			f.chunk, f.read, f.bare = run, none, write != ""
		}
	}
	for {
		if cut, err := f.copy(); cut != 0 || err != nil {
			return cut, err
		}
		if f.Left == 0 {
			break
		}
		if f.Alike && f.CutThrough != nil && max(f.Left, f.Sent) >= f.CutLeast {
			cut, err = f.level()
		} else {
			err = f.next()
		}
		if err == io.EOF && f.Left < 0 {
			break
		}
		if cut != 0 || err != nil {
			return cut, err
		}
	}
	last := "0\r\n"
	switch {
	case f.read == none:
		last = "\r\n" + last
	case f.read > 0:
		last = "\r\n" // what the program has read of the size is zeros
	}
	return 0, f.end(last)
}

// next begins a chunk, or writes it whole. It is as large as can be, since every chunk costs calls.
func (f *Feed) next() error {
	if f.Left >= 0 {
		n := f.Left
		if room := f.room(); room < maxDigits-1 {
			n = min(n, int64(1)<<(4*room)-1)
		}
		return f.head(n)
	}
	limit := int64(readAhead)
	if room := f.room(); room < 5 {
		limit = min(limit, int64(1)<<(4*room)-1)
	}
	n, err := f.Content.Run()
	switch {
	case err != nil:
		return err
	case n >= spliceLeast && f.room() >= maxDigits-1:
		return f.head(n)
	}
	f.Content.most = room(f.To)
	octets, err := f.Content.some(limit)
	if err != nil {
		return err
	}
	length := int64(len(octets))
	if err := f.Content.write(f.To, f.line(length), octets); err != nil {
		return err
	}
	f.chunk, f.bare = 0, false
	f.sent(length)
	return nil
}

// room is how many digits the program still takes in the present chunk-size line.
func (f *Feed) room() int { return maxDigits - int(max(f.read, 0)) }

// head writes what begins a chunk of n octets.
func (f *Feed) head(n int64) error {
	_, err := f.To.Write(f.line(n))
	return err
}

// line is what begins a chunk of n octets.
func (f *Feed) line(n int64) []byte {
	line := make([]byte, 0, 24)
	if f.read == none {
		line = append(line, "\r\n"...)
	}
	line = strconv.AppendInt(line, n, 16)
	f.read, f.chunk, f.bare = none, n, true
	return append(line, "\r\n"...)
}

// level passes on a chunk as it is in the answer, and what has been read ahead of it. If nothing is left of that, the
// program and the answer stand at the same octet of a chunk of the same size.
func (f *Feed) level() (cut int64, err error) {
	n, err := f.Content.Run()
	switch {
	case err == io.EOF && f.Left > 0:
		return 0, &SourceError{io.ErrUnexpectedEOF}
	case err != nil:
		return 0, err
	case f.Left >= 0 && n > f.Left:
		return 0, ErrUnfit
	case f.room() < maxDigits-1:
		return 0, f.next()
	}
	if err := f.head(n); err != nil {
		return 0, err
	}
	ahead := min(n, max(int64(len(f.Content.ahead)), lead))
	if err := f.Content.CopyTo(f.To, ahead); err != nil {
		return 0, err
	}
	f.chunk, f.bare = f.chunk-ahead, false
	f.sent(ahead)
	if f.chunk > 0 && len(f.Content.ahead) == 0 && f.CutThrough() {
		return ToTheEnd, nil
	}
	return 0, nil
}
