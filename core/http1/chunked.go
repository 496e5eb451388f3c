// The chunked transfer coding (RFC 9112 §7.1), taken apart octet by octet and put together.

package http1

import (
	"fmt"
	"math"
	"strconv"
)

const (
	// MaxChunkLine is the longest chunk-size line, extensions included, in octets.
	MaxChunkLine = 4 << 10
	// MaxTrailers is the longest trailer section, in octets.
	MaxTrailers = 64 << 10
)

type chunkState int

const (
	chunkSize      chunkState = iota // before or in the digits
	chunkSpace                       // whitespace after the digits
	chunkExtension                   // after the first ";"
	chunkSizeLF                      // after the CR of the size line
	chunkData
	chunkDataEnd // after the data, before its line end
	chunkDataLF  // after the CR that follows the data
	trailerStart // at the start of a trailer line
	trailerLine
	trailerEndLF // after a CR at the start of a trailer line
	chunksDone
)

// ChunkDecoder takes a chunked body apart as it arrives. The result does not depend
// on where the octets are split. The zero value is ready for the first octet. Lines may
// end in a bare LF; everything else that is not the grammar is an error, which stays.
type ChunkDecoder struct {
	state   chunkState
	digits  int   // seen in this size line
	line    int   // octets seen of this size line
	left    int64 // content octets still to come in this chunk
	section []byte
	fields  Fields
	err     error
}

// Decode writes the content in src to dst, which may be src itself: content is never
// longer than what carries it. It stops after nSrc octets of src, because src or the
// room in dst is used up, or because the body is complete (done; src[nSrc:] follows
// it). nDst octets of dst are content, also with an error.
func (d *ChunkDecoder) Decode(dst, src []byte) (nDst, nSrc int, done bool, err error) {
	for nSrc < len(src) && d.state != chunksDone && d.err == nil {
		if d.state != chunkData {
			d.step(src[nSrc])
			nSrc++
			continue
		}
		part := src[nSrc:]
		if int64(len(part)) > d.left {
			part = part[:d.left]
		}
		n := copy(dst[nDst:], part)
		if n == 0 {
			break
		}
		nDst += n
		nSrc += n
		d.take(int64(n))
	}
	return nDst, nSrc, d.state == chunksDone, d.err
}

// Scan is Decode for who only counts: it returns how many octets of src are content.
func (d *ChunkDecoder) Scan(src []byte) (content int64, nSrc int, done bool, err error) {
	for nSrc < len(src) && d.state != chunksDone && d.err == nil {
		if d.state != chunkData {
			d.step(src[nSrc])
			nSrc++
			continue
		}
		n := min(d.left, int64(len(src)-nSrc))
		content += n
		nSrc += int(n)
		d.take(n)
	}
	return content, nSrc, d.state == chunksDone, d.err
}

// Remaining returns how many content octets come next, before any framing: > 0 only
// inside a chunk.
func (d *ChunkDecoder) Remaining() int64 {
	if d.state != chunkData {
		return 0
	}
	return d.left
}

// Skip tells that n of the Remaining octets were read elsewhere. n is from 0 to Remaining.
func (d *ChunkDecoder) Skip(n int64) {
	if n < 0 || n > d.Remaining() {
		panic("http1: ChunkDecoder.Skip beyond the chunk")
	}
	if n > 0 {
		d.take(n)
	}
}

// Resume tells that others have read on, to where left octets of a chunk's content come next, or, with 0, what ends its data.
func (d *ChunkDecoder) Resume(left int64) {
	d.state, d.left = chunkData, left
	d.take(0)
}

// Trailers returns the trailer fields once the body is complete.
func (d *ChunkDecoder) Trailers() Fields { return d.fields }

// take counts n content octets of the current chunk.
func (d *ChunkDecoder) take(n int64) {
	if d.left -= n; d.left == 0 {
		d.state = chunkDataEnd
	}
}

// step consumes one octet that is not content.
func (d *ChunkDecoder) step(c byte) {
	switch d.state {
	case chunkSize, chunkSpace, chunkExtension, chunkSizeLF:
		d.stepSize(c)
	case chunkDataEnd:
		switch c {
		case '\r':
			d.state = chunkDataLF
		case '\n':
			d.nextChunk()
		default:
			d.fail("no line end after the chunk's data", ErrMalformed)
		}
	case chunkDataLF:
		if c != '\n' {
			d.fail("no line end after the chunk's data", ErrMalformed)
			return
		}
		d.nextChunk()
	default:
		d.stepTrailer(c)
	}
}

func (d *ChunkDecoder) nextChunk() { d.state, d.digits, d.line, d.left = chunkSize, 0, 0, 0 }

func (d *ChunkDecoder) stepSize(c byte) {
	if d.line++; d.line > MaxChunkLine {
		d.fail("chunk-size line", ErrTooLarge)
		return
	}
	if digit, ok := unhex(c); ok && d.state == chunkSize {
		if d.left > (math.MaxInt64-digit)>>4 {
			d.fail("chunk size beyond 63 bits", ErrMalformed)
			return
		}
		d.left = d.left<<4 | digit
		d.digits++
		return
	}
	switch {
	case d.digits == 0:
		d.fail("chunk-size line without a size", ErrMalformed)
	case c == '\n':
		d.endSize()
	case d.state == chunkSizeLF:
		d.fail("bare CR in a chunk-size line", ErrMalformed)
	case c == '\r':
		d.state = chunkSizeLF
	case d.state == chunkExtension:
		if c == 0 {
			d.fail("NUL in a chunk extension", ErrMalformed)
		}
	case c == ';':
		d.state = chunkExtension
	case c == ' ' || c == '\t':
		d.state = chunkSpace
	default:
		d.fail("bad octet after a chunk size", ErrMalformed)
	}
}

func (d *ChunkDecoder) endSize() {
	if d.left == 0 {
		d.state = trailerStart
	} else {
		d.state = chunkData
	}
}

func (d *ChunkDecoder) stepTrailer(c byte) {
	switch {
	case d.state == trailerEndLF && c != '\n':
		d.fail("bare CR in the trailer section", ErrMalformed)
	case d.state == trailerStart && c == '\r':
		d.state = trailerEndLF
	case c == '\n' && d.state != trailerLine:
		d.endTrailers()
	case len(d.section) == MaxTrailers:
		d.fail("trailer section", ErrTooLarge)
	default:
		d.section = append(d.section, c)
		d.state = trailerLine
		if c == '\n' {
			d.state = trailerStart
		}
	}
}

func (d *ChunkDecoder) endTrailers() {
	fields, err := parseFields(string(d.section))
	d.section = nil
	if err != nil {
		d.fail("trailer section", err)
		return
	}
	d.fields, d.state = fields, chunksDone
}

func (d *ChunkDecoder) fail(what string, err error) {
	d.section = nil
	d.err = fmt.Errorf("decode chunked body: %s: %w", what, err)
}

func unhex(c byte) (digit int64, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10, true
	}
	return 0, false
}

// AppendChunk appends data as one chunk. Empty data appends nothing, as a chunk of
// size 0 would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the last chunk and the trailers, which are written anew from
// their names and values.
func AppendLastChunk(dst []byte, trailers Fields) []byte {
	dst = append(dst, "0\r\n"...)
	for _, f := range trailers {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}
