package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"

	"midstream/core/channel"
	"midstream/core/http1"
	"midstream/core/internal/pieces"
)

// response is a response's octets after its head, and where a program stands that has read the first n of them.
type response struct {
	octets []byte
	at     []channel.Position
}

func (r *response) add(at channel.Position, octets string) {
	r.octets = append(r.octets, octets...)
	for len(r.at) <= len(r.octets) {
		r.at = append(r.at, at)
	}
}

// plain is content without chunks.
func plain(content []byte, phase channel.Phase) *response {
	r := &response{at: []channel.Position{{Phase: phase}}}
	for i := range content {
		r.add(channel.Position{Phase: phase, Received: int64(i + 1)}, string(content[i:i+1]))
	}
	return r
}

// chunked is content in chunks of these sizes, by turns, with extensions and a trailer field where asked for.
func chunked(content []byte, sizes []int, extension string, zeros int, trailer string) *response {
	r := &response{at: []channel.Position{{Phase: channel.PhaseChunkSize}}}
	received := int64(0)
	line := func(size int64) {
		at := channel.Position{Phase: channel.PhaseChunkSize, Received: received}
		for _, c := range fmt.Sprintf("%0*x", zeros, size) {
			digit, _ := strconv.ParseInt(string(c), 16, 64)
			at.ChunkDigits++
			at.ChunkSize = at.ChunkSize<<4 | digit
			r.add(at, string(c))
		}
		at.Phase, at.ChunkDigits = channel.PhaseChunkExt, 0
		for _, c := range extension {
			r.add(at, string(c))
		}
		at.Phase = channel.PhaseChunkSizeLF
		r.add(at, "\r")
	}
	for rest, i := content, 0; len(rest) > 0; i++ {
		n := min(max(sizes[i%len(sizes)], 1), len(rest))
		line(int64(n))
		r.add(channel.Position{Phase: channel.PhaseChunkData, Received: received, ChunkLeft: int64(n)}, "\n")
		for k := range n {
			received++
			at := channel.Position{Phase: channel.PhaseChunkData, Received: received, ChunkLeft: int64(n - k - 1)}
			if at.ChunkLeft == 0 {
				at.Phase = channel.PhaseChunkDataCR
			}
			r.add(at, string(rest[k:k+1]))
		}
		r.add(channel.Position{Phase: channel.PhaseChunkDataLF, Received: received}, "\r")
		r.add(channel.Position{Phase: channel.PhaseChunkSize, Received: received}, "\n")
		rest = rest[n:]
	}
	line(0)
	at := channel.Position{Phase: channel.PhaseTrailer, Received: received}
	r.add(at, "\n")
	for _, c := range trailer {
		at.Line++
		r.add(at, string(c))
	}
	if trailer != "" {
		at.CR = true
		r.add(at, "\r")
		at.Line, at.CR = 0, false
		r.add(at, "\n")
	}
	at.CR = true
	r.add(at, "\r")
	r.add(channel.Position{Phase: channel.PhaseIdle, Received: received}, "\n")
	return r
}

// reads returns the content that a client, not of Midstream's making, finds in a response of this kind, and what follows it.
func reads(kind http1.Kind, octets []byte, length int) (content, after []byte, err error) {
	head := "HTTP/1.1 200 OK\r\n"
	switch kind {
	case http1.Length:
		head += fmt.Sprintf("Content-Length: %d\r\n", length)
	case http1.Chunked:
		head += "Transfer-Encoding: chunked\r\n"
	}
	in := bufio.NewReader(io.MultiReader(bytes.NewReader([]byte(head+"\r\n")), bytes.NewReader(octets)))
	got, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, nil, err
	}
	if content, err = io.ReadAll(got.Body); err != nil {
		return nil, nil, err
	}
	after, err = io.ReadAll(in)
	return content, after, err
}

// shape is one way to continue a response.
type shape struct {
	content   []byte
	old, new  http1.Kind
	cut       int // octets of the old response that the program has read
	oldSizes  []int
	newSizes  []int
	reads     []int // sizes in which the new server's octets come
	extension string
	zeros     int
	trailer   string
	unknown   bool // nobody has said how long it is
	through   bool // the program's end may be given the connection itself
}

func (c shape) check(t *testing.T) {
	t.Helper()
	var before *response
	switch c.old {
	case http1.Chunked:
		before = chunked(c.content, c.oldSizes, c.extension, c.zeros, c.trailer)
	case http1.Length:
		before = plain(c.content, channel.PhaseLength)
	default:
		before = plain(c.content, channel.PhaseClose)
	}
	cut := c.cut % len(before.octets)
	at := before.at[cut]
	rest := c.content[at.Received:]
	source := &pieces.Conn{Sizes: append([]int(nil), c.reads...)}
	framing := http1.Framing{Kind: c.new}
	switch c.new {
	case http1.Chunked:
		source.Octets = chunked(rest, c.newSizes, c.extension, 1, c.trailer).octets
	case http1.Length:
		framing.Length = int64(len(rest))
		source.Octets = rest
	default:
		source.Octets = rest
	}
	source.Octets = bytes.Clone(source.Octets)
	surplus := []byte("HTTP/1.1 200 the next response")
	if c.new != http1.Close {
		source.Octets = append(source.Octets, surplus...)
	}
	left := int64(len(rest))
	if c.unknown && c.old != http1.Length {
		left = Unknown
	}
	to := &pieces.Conn{}
	to.Written.Write(before.octets[:cut])
	content := NewContent(source, framing)
	feed := &Feed{To: to, Content: content, At: at, Kind: c.old, Left: left}
	toTheEnd, received := false, at.Received
	for {
		if c.through {
			feed.CutLeast, feed.Alike = 5, c.old == http1.Chunked && c.new == http1.Chunked
			feed.CutThrough = func() bool { return true }
		}
		through, err := feed.Run()
		if errors.Is(err, ErrInTrailer) && at.Phase == channel.PhaseTrailer && at.Line > 0 {
			return
		}
		if err != nil {
			t.Fatalf("%+v: at %+v: %v", c, at, err)
		}
		if through == 0 {
			break
		}
		if c.old == http1.Chunked {
			// The program is given the connection at an offset of the content.
			var body http1.ChunkDecoder
			written, upTo := to.Written.Bytes(), received+feed.Sent
			for n, used := int64(0), 0; n < upTo; {
				content, _, _, _ := body.Scan(written[used : used+1])
				n += content
				if used++; n == upTo && used != len(written) && len(written) > cut {
					t.Fatalf("%+v: at %+v: %q stands between the offset and the connection", c, at, written[used:])
				}
			}
		}
		if through == ToTheEnd {
			io.Copy(&to.Written, source)
			toTheEnd = true
			break
		}
		leftOfChunk := content.Within(through)
		if leftOfChunk > 0 {
			leftOfChunk, err = unchunk(&to.Written, source, leftOfChunk, through)
		} else {
			_, err = io.CopyN(&to.Written, source, through)
		}
		if err != nil {
			t.Fatalf("%+v: at %+v: %d octets cut through: %v", c, at, through, err)
		}
		if content.Within(through) > 0 {
			content.PassedInto(leftOfChunk)
		} else {
			content.Passed(through)
		}
		received += feed.Sent + through
		then := channel.Position{Phase: before.at[0].Phase}
		if c.old == http1.Chunked {
			if then = (channel.Position{Phase: channel.PhaseChunkData, ChunkLeft: feed.chunk - through}); then.ChunkLeft == 0 {
				then.Phase = channel.PhaseChunkDataCR
			}
		}
		left := feed.Left
		if left >= 0 {
			left -= through
		}
		feed = &Feed{To: to, Content: content, At: then, Kind: c.old, Left: left}
	}
	got, after, err := reads(c.old, to.Written.Bytes(), len(c.content))
	if err != nil || !bytes.Equal(got, c.content) {
		t.Fatalf("%+v: at %+v: %v: the program got %q in %q", c, at, err, got, to.Written.Bytes())
	}
	switch {
	case toTheEnd:
		if !bytes.Equal(after, surplus) {
			t.Fatalf("%+v: at %+v: %q follows on the connection", c, at, after)
		}
	case len(after) > 0:
		t.Fatalf("%+v: at %+v: the program got %q more", c, at, after)
	case c.new != http1.Close:
		next, _ := io.ReadAll(source)
		if next = append(bytes.Clone(content.Surplus()), next...); !bytes.Equal(next, surplus) {
			t.Fatalf("%+v: at %+v: %q is left for the next response", c, at, next)
		}
	}
}

var kinds = []http1.Kind{http1.Length, http1.Chunked, http1.Close}

func TestAnyFramingIsContinuedFromAnyOctet(t *testing.T) {
	content := []byte("The quick brown fox jumps over the lazy dog, and the dog lets it.")
	for _, c := range []shape{
		{},
		{extension: ";a=b", trailer: "X: y", zeros: 4},
		{zeros: 16},
		{unknown: true, extension: ";c"},
		{unknown: true, zeros: 15, trailer: "Z: 1"},
		{through: true},
		{through: true, unknown: true, trailer: "Z: 1"},
	} {
		for _, c.old = range kinds {
			for _, c.new = range kinds {
				for c.cut = range 200 {
					c.content, c.oldSizes, c.newSizes, c.reads = content, []int{17, 1, 30}, []int{3, 26, 1}, []int{11, 1, 40}
					c.check(t)
				}
			}
		}
	}
}

func FuzzFeed(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint8(0), uint16(10), false, false)
	f.Add(uint64(2), uint16(3000), uint8(4), uint16(1500), true, true)
	f.Add(uint64(3), uint16(70), uint8(7), uint16(80), false, true)
	f.Fuzz(func(t *testing.T, seed uint64, length uint16, framing uint8, cut uint16, unknown, through bool) {
		random := rand.New(rand.NewPCG(seed, 1))
		sizes := func(most int) (s []int) {
			for range 1 + random.IntN(5) {
				s = append(s, 1+random.IntN(most))
			}
			return s
		}
		c := shape{
			content: make([]byte, 1+int(length)%5000), old: kinds[framing%3], new: kinds[framing/3%3], cut: int(cut),
			oldSizes: sizes(300), newSizes: sizes(300), reads: sizes(400), zeros: random.IntN(17), unknown: unknown, through: through,
		}
		for i := range c.content {
			c.content[i] = byte('a' + random.IntN(26))
		}
		if random.IntN(2) == 0 {
			c.extension, c.trailer = ";x=\"y\"", "Trailer: field"
		}
		c.check(t)
	})
}

func TestChunksPassBetweenSocketsWhole(t *testing.T) {
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	for _, size := range []int{1000, 8 << 10, spliceLeast + 1, 1 << 20} {
		server, client := wire(t)
		core, program := wire(t)
		var octets []byte // without a position for each, as chunked has it: there are too many
		for at := 0; at < len(content); at += size {
			piece := content[at:min(at+size, len(content))]
			octets = append(append(fmt.Appendf(octets, "0%x\r\n", len(piece)), piece...), "\r\n"...)
		}
		octets = append(octets, "0\r\n\r\n"...)
		go server.Write(octets)
		go func() {
			feed := &Feed{To: core, Content: NewContent(client, http1.Framing{Kind: http1.Chunked}), Kind: http1.Length, Left: int64(len(content))}
			if _, err := feed.Run(); err != nil {
				t.Error(err)
			}
			core.Close()
		}()
		if got, err := io.ReadAll(program); err != nil || !bytes.Equal(got, content) {
			t.Errorf("chunks of %d: %d octets, %v", size, len(got), err)
		}
	}
}

func TestContentThatIsTooShortOrTooLongIsNotCompleted(t *testing.T) {
	for _, c := range []struct {
		octets string
		kind   http1.Kind
		length int64
		left   int64
		want   error
	}{
		{"01234", http1.Length, 5, 8, io.ErrUnexpectedEOF},
		{"01234", http1.Length, 8, 8, io.ErrUnexpectedEOF},
		{"5\r\n01234\r\n0\r\n\r\n", http1.Chunked, 0, 8, io.ErrUnexpectedEOF},
		{"01234", http1.Close, 0, 8, io.ErrUnexpectedEOF},
		{"0123456789", http1.Length, 10, 8, ErrUnfit},
		{"a\r\n0123456789\r\n0\r\n\r\n", http1.Chunked, 0, 8, ErrUnfit},
		{"8\r\n01234567\r\nx", http1.Chunked, 0, 8, http1.ErrMalformed},
	} {
		for _, kind := range kinds {
			to := &pieces.Conn{}
			at := channel.Position{Phase: channel.PhaseChunkData, ChunkLeft: 2, Received: 40}
			f := Feed{To: to, Content: NewContent(&pieces.Conn{Octets: []byte(c.octets)}, http1.Framing{Kind: c.kind, Length: c.length}),
				At: at, Kind: kind, Left: c.left}
			if _, err := f.Run(); !errors.Is(err, c.want) {
				t.Errorf("%q for %v with %d octets left: %v", c.octets, kind, c.left, err)
			}
			if bytes.HasSuffix(to.Written.Bytes(), []byte("0\r\n\r\n")) {
				t.Errorf("%q for %v: ended by %q", c.octets, kind, to.Written.Bytes())
			}
		}
	}
}

func TestAPositionThatCannotBeContinuedIsRefused(t *testing.T) {
	for _, c := range []struct {
		at   channel.Position
		left int64
		want error
	}{
		{channel.Position{Phase: channel.PhaseChunkData, ChunkLeft: 10}, 9, ErrUnfit},
		{channel.Position{Phase: channel.PhaseChunkSize, ChunkDigits: 2, ChunkSize: 10}, 9, ErrUnfit},
		{channel.Position{Phase: channel.PhaseChunkExt, ChunkSize: 10}, 9, ErrUnfit},
		{channel.Position{Phase: channel.PhaseChunkSizeLF}, 9, ErrUnfit}, // the last chunk
		{channel.Position{Phase: channel.PhaseTrailer}, 9, ErrUnfit},
		{channel.Position{Phase: channel.PhaseTrailer, Line: 1}, 0, ErrInTrailer},
		{channel.Position{Phase: channel.PhaseChunkSize, ChunkDigits: maxDigits}, 9, ErrUnfit},
		{channel.Position{Phase: channel.PhaseChunkData, ChunkLeft: 9}, 9, nil},
		{channel.Position{Phase: channel.PhaseTrailer, CR: true}, Unknown, nil},
		{channel.Position{Phase: channel.PhaseLength}, 9, nil},
	} {
		if err := Fits(c.at, c.left); err != c.want {
			t.Errorf("%+v with %d octets left: %v", c.at, c.left, err)
		}
	}
}

// unchunk copies n octets of chunked content, of whose present chunk left are to come, as somebody does who has been given the
// connection. It returns how many of the last chunk are left then.
func unchunk(to io.Writer, from io.Reader, left, n int64) (int64, error) {
	line := func() (text []byte, err error) {
		for octet := []byte{0}; err == nil && octet[0] != '\n'; text = append(text, octet[0]) {
			_, err = from.Read(octet)
		}
		return text, err
	}
	for n > 0 {
		if left == 0 {
			end, err := line()
			if err != nil || len(bytes.TrimSpace(end)) > 0 {
				return 0, fmt.Errorf("a chunk ends with %q: %w", end, err)
			}
			size, err := line()
			if err != nil {
				return 0, err
			}
			digits, _, _ := bytes.Cut(bytes.TrimSpace(size), []byte(";"))
			if left, err = strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 64); err != nil || left == 0 {
				return 0, fmt.Errorf("a chunk begins with %q: %w", size, err)
			}
		}
		copied, err := io.CopyN(to, from, min(left, n))
		if err != nil {
			return 0, err
		}
		left, n = left-copied, n-copied
	}
	return left, nil
}
