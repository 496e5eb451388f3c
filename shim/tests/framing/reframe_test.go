package framing

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"midstream/core/http1"
)

// reframer runs reframe/reframe.c.
var reframer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// made is what came of a case.
type made struct {
	refused, over, spent, wrong bool
	used                        int // octets of the new answer
	octets                      []byte
}

// reframe has an answer delivered to a program that has read a part of another.
func reframe(t testing.TB, old, next []byte, left int64, longer, whole bool, seed uint32) (m made) {
	t.Helper()
	order := binary.NativeEndian
	number := func(b bool) uint32 {
		if b {
			return 1
		}
		return 0
	}
	message := order.AppendUint64(nil, uint64(left))
	message = order.AppendUint32(message, number(longer))
	message = order.AppendUint32(message, number(whole))
	message = order.AppendUint32(message, seed)
	for _, octets := range [][]byte{old, next} {
		message = append(order.AppendUint32(message, uint32(len(octets))), octets...)
	}
	if _, err := reframer.in.Write(message); err != nil {
		t.Fatal(err)
	}
	var numbers [6]uint32
	err := binary.Read(reframer.out, order, &numbers)
	if err == nil {
		m.octets = make([]byte, numbers[5])
		_, err = io.ReadFull(reframer.out, m.octets)
	}
	if err != nil {
		t.Fatalf("reframe.c ended: %v", err)
	}
	m.refused, m.over, m.spent, m.wrong = numbers[0] != 0, numbers[1] != 0, numbers[2] != 0, numbers[3] != 0
	m.used = int(numbers[4])
	return m
}

// wire is a response with this content in a framing, and the length of its head.
func wire(random *rand.Rand, framing string, content, trailer string) (octets []byte, head int) {
	var b strings.Builder
	switch framing {
	case "length":
		fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(content))
	case "close":
		b.WriteString("HTTP/1.1 200 OK\r\n\r\n")
	case "chunked":
		b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	}
	head = b.Len()
	if framing != "chunked" {
		b.WriteString(content)
		return []byte(b.String()), head
	}
	line := func(n int) {
		fmt.Fprintf(&b, "%s%x%s\r\n", strings.Repeat("0", random.Intn(3)), n, []string{"", ";a", " ;b=\"c\""}[random.Intn(3)])
	}
	for len(content) > 0 {
		n := 1 + random.Intn(min(len(content), 1+random.Intn(300)))
		line(n)
		b.WriteString(content[:n] + "\r\n")
		content = content[n:]
	}
	line(0)
	b.WriteString(trailer + "\r\n")
	return []byte(b.String()), head
}

// A program that has read any part of a response in one framing gets the rest of it from an answer in another, whatever
// that is split into.
func TestAnyFramingContinuesAsAnyOther(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	framings := []string{"length", "chunked", "close"}
	for i := range 30_000 {
		content := make([]byte, random.Intn(600))
		random.Read(content)
		trailer := []string{"", "A: b\r\n", "A: b\r\nLonger: c d\r\n"}[random.Intn(3)]
		oldFraming, nextFraming := framings[random.Intn(3)], framings[random.Intn(3)]
		old, head := wire(random, oldFraming, string(content), trailer)
		if oldFraming != "close" && len(old) == head {
			continue // it is over with its head
		}
		read := head + random.Intn(len(old)-head+1)
		if oldFraming != "close" && read == len(old) {
			read--
		}
		had := contentOf(t, oldFraming, old[head:read])
		rest := string(content[had:])
		longer, known := random.Intn(4) == 0, random.Intn(2) == 0 || oldFraming == "length"
		left := int64(len(rest))
		answer := rest
		if longer && known {
			answer += "and more"
		} else {
			longer = false
		}
		if !known {
			left = -1
		}
		nextTrailer := []string{"", "T: u\r\n"}[random.Intn(2)]
		next, _ := wire(random, nextFraming, answer, nextTrailer)
		whole := random.Intn(2) == 0 && !longer
		surplus := 0
		if nextFraming != "close" && !longer {
			surplus = random.Intn(20)
			next = append(next, "HTTP/1.1 204 No content"[:surplus]...)
		}
		m := reframe(t, old[:read], next, left, longer, whole, uint32(i))
		what := fmt.Sprintf("case %d: %s to %s, left %d of %d, longer %v, after %q", i, oldFraming, nextFraming, left, len(content), longer, old[head:read])
		inside := insideField(old[head:read], trailer)
		if m.refused {
			if oldFraming != "chunked" || !inside {
				t.Fatalf("%s: refused", what)
			}
			continue
		}
		if inside {
			t.Fatalf("%s: not refused", what)
		}
		if m.wrong || !m.over || m.spent != (oldFraming == "close" || nextFraming == "close" || longer) {
			t.Fatalf("%s: %+v", what, m)
		}
		if !m.spent && m.used != len(next)-surplus {
			t.Fatalf("%s: used %d of %d octets", what, m.used, len(next)-surplus)
		}
		all := append(bytes.Clone(old[head:read]), m.octets...)
		if oldFraming != "chunked" {
			if !bytes.Equal(all, content) {
				t.Fatalf("%s: %q", what, m.octets)
			}
			continue
		}
		var d http1.ChunkDecoder
		got := make([]byte, len(all))
		n, used, done, err := d.Decode(got, all)
		if err != nil || !done || used != len(all) || !bytes.Equal(got[:n], content) {
			t.Fatalf("%s: %q (%d of %d octets, %v, %v)", what, m.octets, used, len(all), done, err)
		}
		if whole && nextFraming == "chunked" && !withinTrailer(old[head:read], trailer) {
			var fields string
			for _, f := range d.Trailers() {
				fields += f.Raw
			}
			if fields != nextTrailer {
				t.Fatalf("%s: trailer section %q, want %q", what, fields, nextTrailer)
			}
		}
	}
}

// Whatever both servers send, the program is handed no more than fits, and memory is left alone (AddressSanitizer).
func FuzzReframe(f *testing.F) {
	const content = "HTTP/1.1 200 OK\r\n"
	bodies := []string{"Content-Length: 9\r\n\r\n123456", "Transfer-Encoding: chunked\r\n\r\n5;x\r\n12345\r\n4\r\n6", "\r\n123456", "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b"}
	for _, old := range bodies {
		for _, next := range bodies {
			f.Add([]byte(content+old), []byte(content+next+"789"), int64(3), true, false, uint32(1))
			f.Add([]byte(content+old), []byte(content+next+"789\r\n0\r\nT: u\r\n\r\n"), int64(-1), false, true, uint32(2))
		}
	}
	f.Fuzz(func(t *testing.T, old, next []byte, left int64, longer, whole bool, seed uint32) {
		if len(old) > 3000 || len(next) > 3000 || left < -1 {
			return
		}
		m := reframe(t, old, next, left, longer, whole, seed)
		if m.used > len(next) || m.over && m.wrong {
			t.Errorf("%+v", m)
		}
	})
}

// contentOf is how much content the octets hold.
func contentOf(t *testing.T, framing string, octets []byte) int {
	if framing != "chunked" {
		return len(octets)
	}
	var d http1.ChunkDecoder
	n, _, _, err := d.Scan(octets)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// withinTrailer reports whether chunked octets that break off do so in their trailer section.
func withinTrailer(octets []byte, trailer string) bool {
	end := []byte("\r\n")
	for n := 0; n <= len(trailer); n++ {
		if bytes.HasSuffix(octets, append(end[1:], trailer[:n]...)) && lastLine(octets[:len(octets)-n]) {
			return true
		}
		if n == len(trailer) && bytes.HasSuffix(octets, append(append(end[1:], trailer...), '\r')) && lastLine(octets[:len(octets)-n-1]) {
			return true
		}
	}
	return false
}

// lastLine reports whether the octets end with the size line of the last chunk.
func lastLine(octets []byte) bool {
	var d http1.ChunkDecoder
	content, used, done, err := d.Scan(octets)
	if err != nil || done || used != len(octets) || content < 0 {
		return false
	}
	_, _, done, err = d.Scan([]byte("\r\n"))
	return err == nil && done
}

// insideField reports whether they break off within a field line.
func insideField(octets []byte, trailer string) bool {
	last := octets[bytes.LastIndexByte(octets, '\n')+1:]
	return withinTrailer(octets, trailer) && len(last) > 0 && last[len(last)-1] != '\r'
}
