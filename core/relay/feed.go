// Continuing the framing that the program has begun to read.
package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"midstream/core/channel"
	"midstream/core/http1"
)

// maxDigits is how many hexadecimal digits of a chunk size programs accept, leading zeros included: curl takes 16.
const maxDigits = 16

// ErrContradiction says that the new content cannot be what the program has begun to receive: it has read a chunk
// size that does not fit.
var ErrContradiction = errors.New("the new content does not fit the framing that the program has begun to read")

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
}

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
			return "", 0, ErrContradiction
		}
		return write, n, nil
	}
	end := func(write string) (string, int64, error) {
		if left > 0 {
			return "", 0, ErrContradiction
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
		case at.Line > 0:
			return "", 0, ErrInTrailer
		case at.CR:
			return end("\n")
		}
		return end("\r\n")
	}
	return "", 0, nil
}

// Run writes all of it. Errors are those of Copy, and ErrContradiction: what was written before it is right, what
// would follow is not known.
func (f *Feed) Run() error {
	switch f.Kind {
	case http1.Length:
		if err := f.Content.CopyTo(f.To, f.Left); err != nil {
			return err
		}
		return f.finish("")
	case http1.Close:
		if f.Left >= 0 {
			if err := f.Content.CopyTo(f.To, f.Left); err != nil {
				return err
			}
		} else if err := f.copyAll(); err != nil {
			return err
		}
		return f.finish("")
	case http1.Chunked:
		return f.chunked()
	}
	return fmt.Errorf("a response with framing %v cannot be continued", f.Kind)
}

// finish reads the answer to its end, which must be here, and writes the last octets.
func (f *Feed) finish(last string) error {
	if !f.Longer && f.Content.kind != http1.Close {
		if _, err := f.Content.Run(); err == nil {
			return ErrContradiction
		} else if err != io.EOF {
			return err
		}
	}
	_, err := io.WriteString(f.To, last)
	return err
}

func (f *Feed) copyAll() error {
	for {
		run, err := f.Content.Run()
		if err == io.EOF {
			return nil
		}
		if err == nil && run == Unknown {
			_, err = Copy(f.To, f.Content.conn, -1)
			f.Content.done = true
			return err
		}
		if err == nil {
			err = f.Content.CopyTo(f.To, run)
		}
		if err != nil {
			return err
		}
	}
}

func (f *Feed) chunked() error {
	left := f.Left
	write, run, err := begin(f.At, left)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f.To, write); err != nil {
		return err
	}
	if run == Unknown {
		return f.finish("")
	}
	read := digits(0) // of the present chunk-size line
	if f.At.Phase == channel.PhaseChunkSize && run == 0 {
		read = digits(f.At.ChunkDigits)
	}
	if run > 0 {
		if err := f.Content.CopyTo(f.To, run); err != nil {
			return err
		}
		if left >= 0 {
			left -= run
		}
		read = none
	}
	for left != 0 {
		n, err := f.next(left, read)
		if err == io.EOF && left < 0 {
			break
		}
		if err != nil {
			return err
		}
		if left >= 0 {
			left -= n
		}
		read = none
	}
	last := "0\r\n\r\n"
	switch {
	case read == none:
		last = "\r\n" + last
	case read > 0:
		last = "\r\n\r\n" // what the program has read of the size is zeros
	}
	return f.finish(last)
}

// next writes one chunk, up to its last octet, and returns its size. It is as large as can be, since every
// chunk costs calls.
func (f *Feed) next(left int64, read digits) (int64, error) {
	n, small := left, []byte(nil)
	if n < 0 {
		var err error
		if n, err = f.Content.Run(); err != nil {
			return 0, err
		}
	}
	if room := maxDigits - int(max(read, 0)); n != Unknown && room < maxDigits-1 {
		n = min(n, int64(1)<<(4*room)-1)
	}
	if n == Unknown {
		small = make([]byte, 32<<10)
		if room := maxDigits - int(max(read, 0)); room < 4 {
			small = small[:1<<(4*room)-1]
		}
		got, err := f.Content.Read(small)
		if err != nil {
			return 0, err
		}
		small, n = small[:got], int64(got)
	}
	head := make([]byte, 0, 24)
	if read == none {
		head = append(head, "\r\n"...)
	}
	head = strconv.AppendInt(head, n, 16)
	head = append(head, "\r\n"...)
	if small != nil {
		_, err := f.To.Write(append(head, small...))
		return n, err
	}
	if _, err := f.To.Write(head); err != nil {
		return 0, err
	}
	return n, f.Content.CopyTo(f.To, n)
}
