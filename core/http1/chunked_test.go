package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// decodeSplit feeds the octets in pieces of the given sizes, repeated, into room of
// at most room octets, and returns everything observable as text.
func decodeSplit(wire []byte, sizes []byte, room int) (content []byte, used int, trailers Fields, outcome string) {
	var d ChunkDecoder
	dst := make([]byte, room)
	size := func(i int) int {
		if len(sizes) == 0 {
			return len(wire)
		}
		return int(sizes[i%len(sizes)])%16 + 1
	}
	done, err := false, error(nil)
	for i := 0; used < len(wire) && !done && err == nil; i++ {
		end := min(len(wire), used+size(i))
		var nDst, nSrc int
		nDst, nSrc, done, err = d.Decode(dst, wire[used:end])
		content = append(content, dst[:nDst]...)
		used += nSrc
	}
	return content, used, d.Trailers(), fmt.Sprintf("done %v, error %v, trailers %q", done, err, d.Trailers())
}

func TestChunkDecoderReadsWhatServersSend(t *testing.T) {
	for _, c := range []struct{ name, wire, content, trailers string }{
		{"plain", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""},
		{"extensions", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""},
		{"padding", "005  \r\nhello\r\n000 \r\n\r\n", "hello", ""},
		{"upper and lower case", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
		{"trailers", "0\r\nX: y\r\nFold: a\r\n b\r\n\r\n", "", "X=y|Fold=a b"},
		{"bare LF", "5\nhello\n0\nX: y\n\n", "hello", "X=y"},
		{"CRLF in content", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
		{"empty", "0\r\n\r\n", "", ""},
	} {
		for _, sizes := range [][]byte{nil, {0}, {1, 2}} {
			content, used, trailers, outcome := decodeSplit([]byte(c.wire+"next"), sizes, 4)
			if string(content) != c.content || used != len(c.wire) || !strings.HasPrefix(outcome, "done true, error <nil>") {
				t.Errorf("%s, split %v: %q, used %d, %s", c.name, sizes, content, used, outcome)
			}
			var values []string
			for _, f := range trailers {
				values = append(values, f.Name+"="+f.Value)
			}
			if got := strings.Join(values, "|"); got != c.trailers {
				t.Errorf("%s, split %v: trailers %q", c.name, sizes, got)
			}
		}
	}
}

func TestChunkDecoderRefusesWhatIsMalformed(t *testing.T) {
	for _, c := range []struct {
		name, wire string
		want       error
	}{
		{"no size", "\r\nhello", ErrMalformed},
		{"space before size", " 5\r\nhello", ErrMalformed},
		{"sign", "+5\r\nhello", ErrMalformed},
		{"0x", "0x5\r\nhello", ErrMalformed},
		{"not hexadecimal", "5g\r\nhello", ErrMalformed},
		{"two sizes", "5 5\r\nhello", ErrMalformed},
		{"extension without size", ";a\r\nhello", ErrMalformed},
		{"overflow", "8000000000000000\r\n", ErrMalformed},
		{"long overflow", strings.Repeat("f", 40) + "\r\n", ErrMalformed},
		{"bare CR in size", "5\rhello", ErrMalformed},
		{"bare CR in extension", "5;a\rb\r\nhello", ErrMalformed},
		{"NUL in extension", "5;\x00\r\nhello", ErrMalformed},
		{"data too long", "5\r\nhello!\r\n", ErrMalformed},
		{"bare CR after data", "5\r\nhello\r0\r\n\r\n", ErrMalformed},
		{"endless extension", "5;" + strings.Repeat("x", MaxChunkLine), ErrTooLarge},
		{"endless zeros", strings.Repeat("0", MaxChunkLine+1), ErrTooLarge},
		{"bad trailer", "0\r\nX : y\r\n\r\n", ErrMalformed},
		{"trailer without colon", "0\r\nXy\r\n\r\n", ErrMalformed},
		{"bare CR in trailers", "0\r\n\rX", ErrMalformed},
		{"endless trailers", "0\r\nX: " + strings.Repeat("x", MaxTrailers), ErrTooLarge},
		{"too many trailers", "0\r\n" + strings.Repeat("X:\r\n", MaxFields+1) + "\r\n", ErrTooLarge},
	} {
		var d ChunkDecoder
		buf := make([]byte, 64)
		_, _, done, err := d.Decode(buf, []byte(c.wire))
		if done || !errors.Is(err, c.want) {
			t.Errorf("%s: done %v, %v", c.name, done, err)
		}
		if n, used, done, again := d.Decode(buf, []byte("0\r\n\r\n")); n != 0 || used != 0 || done || again != err {
			t.Errorf("%s: the error does not stay: %v", c.name, again)
		}
	}
}

func TestLargestChunkSizeIsAccepted(t *testing.T) {
	var d ChunkDecoder
	if _, _, _, err := d.Scan([]byte("7fffffffffffffff\r\n")); err != nil || d.Remaining() != 1<<63-1 {
		t.Errorf("%d %v", d.Remaining(), err)
	}
}

func TestSkipStandsForContentReadElsewhere(t *testing.T) {
	var d ChunkDecoder
	content, used, done, err := d.Scan([]byte("a\r\nabc"))
	if content != 3 || used != 6 || done || err != nil || d.Remaining() != 7 {
		t.Fatalf("%d %d %v %v, remaining %d", content, used, done, err, d.Remaining())
	}
	d.Skip(0)
	d.Skip(7)
	if d.Remaining() != 0 {
		t.Errorf("remaining %d", d.Remaining())
	}
	if _, _, done, err := d.Scan([]byte("\r\n0\r\n\r\n")); !done || err != nil {
		t.Errorf("%v %v", done, err)
	}
}

func TestAppendChunkWritesWhatTheDecoderReads(t *testing.T) {
	var wire []byte
	for _, part := range []string{"hello", "", strings.Repeat("x", 300)} {
		wire = AppendChunk(wire, []byte(part))
	}
	wire = AppendLastChunk(wire, Fields{{Name: "Digest", Value: "a"}, {Name: "Empty"}})
	want := "5\r\nhello\r\n12c\r\n" + strings.Repeat("x", 300) + "\r\n0\r\nDigest: a\r\nEmpty: \r\n\r\n"
	if string(wire) != want {
		t.Errorf("%q", wire)
	}
}

func FuzzChunkDecoderSplits(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\nnext"), []byte{0}, byte(1))
	f.Add([]byte("5;a=b\nhello\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n c\r\n\r\n"), []byte{1, 2, 5}, byte(3))
	f.Add([]byte("ffffffffffffffffff\r\n"), []byte{7}, byte(9))
	f.Add([]byte("0\r\nX: y\r\n\r\r\n"), []byte{0, 3}, byte(0))
	f.Fuzz(func(t *testing.T, wire, sizes []byte, room byte) {
		content, used, _, outcome := decodeSplit(wire, nil, len(wire))
		split, usedSplit, _, outcomeSplit := decodeSplit(wire, sizes, int(room)%64+1)
		if !bytes.Equal(content, split) || used != usedSplit || outcome != outcomeSplit {
			t.Errorf("at once:  %q, used %d, %s\nin parts: %q, used %d, %s", content, used, outcome, split, usedSplit, outcomeSplit)
		}
		inPlace := append([]byte(nil), wire...)
		var d, counter ChunkDecoder
		n, _, _, _ := d.Decode(inPlace, inPlace)
		if !bytes.Equal(inPlace[:n], content) {
			t.Errorf("in place: %q, want %q", inPlace[:n], content)
		}
		if n, scanned, _, _ := counter.Scan(wire); n != int64(len(content)) || scanned != used {
			t.Errorf("Scan counts %d in %d, Decode %d in %d", n, scanned, len(content), used)
		}
	})
}

func FuzzChunkRoundTrip(f *testing.F) {
	f.Add([]byte("hello world"), byte(3), []byte{0, 2}, byte(1))
	f.Fuzz(func(t *testing.T, content []byte, size byte, sizes []byte, room byte) {
		var wire []byte
		for part := content; len(part) > 0; {
			n := min(len(part), int(size)+1)
			wire = AppendChunk(wire, part[:n])
			part = part[n:]
		}
		wire = AppendLastChunk(wire, Fields{{Name: "T", Value: "v"}})
		got, used, trailers, outcome := decodeSplit(append(wire, content...), sizes, int(room)%64+1)
		if !bytes.Equal(got, content) || used != len(wire) || trailers.Get("T") != "v" || !strings.HasPrefix(outcome, "done true") {
			t.Errorf("%q: %q, used %d, %s", wire, got, used, outcome)
		}
	})
}

func BenchmarkChunkDecoder8k(b *testing.B) {
	wire := AppendChunk(nil, make([]byte, 8<<10))
	dst := make([]byte, 8<<10)
	var d ChunkDecoder
	b.SetBytes(8 << 10)
	for b.Loop() {
		if n, used, _, err := d.Decode(dst, wire); n != len(dst) || used != len(wire) || err != nil {
			b.Fatal(n, used, err)
		}
	}
}
