// Package framing tests that the shim (C) and the core (Go) find the same ends of the same messages, however these are split.
package framing

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"midstream/core/digest"
	"midstream/core/http1"
)

// enum ms_phase of cgo/abi.h, as far as it is needed.
const (
	phaseLength    = 2
	phaseClose     = 3
	phaseChunkSize = 4
	phaseTrailer   = 10
	phaseBroken    = 11
)

const (
	response = iota
	responseToHead
	request
)

// lineMax is FRAMING_LINE_MAX of shim/framing.h: framing fields in longer lines are not followed.
const lineMax = 120

var helper struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "framing")
	if err != nil {
		panic(err)
	}
	code := func() int {
		defer os.RemoveAll(folder)
		program := filepath.Join(folder, "follow")
		build := exec.Command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
			"-I../..", "-o", program, "follow/follow.c", "../../framing/framing.c")
		if text, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "compile follow/follow.c: %v\n%s", err, text)
			return 1
		}
		follow := exec.Command(program)
		follow.Stderr = os.Stderr
		helper.in, err = follow.StdinPipe()
		if err != nil {
			panic(err)
		}
		out, err := follow.StdoutPipe()
		if err != nil {
			panic(err)
		}
		helper.out = bufio.NewReader(out)
		if err := follow.Start(); err != nil {
			panic(err)
		}
		more, stop, err := startHelper(folder, "reframe", "reframe/reframe.c", "../../framing/reframe.c", "../../framing/framing.c")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stop()
		reframer.in, reframer.out = more.in, more.out
		code := m.Run()
		helper.in.Close()
		if err := follow.Wait(); err != nil && code == 0 {
			fmt.Fprintf(os.Stderr, "follow: %v\n", err)
			code = 1
		}
		return code
	}()
	os.Exit(code)
}

// pipes are a helper's.
type pipes struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// startHelper compiles a helper with checks, and starts it.
func startHelper(folder, name string, sources ...string) (p pipes, stop func(), err error) {
	program := filepath.Join(folder, name)
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I../..", "-o", program}
	if text, err := exec.Command("cc", append(args, sources...)...).CombinedOutput(); err != nil {
		return p, nil, fmt.Errorf("compile %s: %v\n%s", name, err, text)
	}
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	if p.in, err = cmd.StdinPipe(); err != nil {
		return p, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return p, nil, err
	}
	p.out = bufio.NewReader(out)
	return p, func() { p.in.Close(); cmd.Wait() }, cmd.Start()
}

// followed is what the shim's state machine made of a message: see follow.c.
type followed struct {
	head     int
	phase    int // after the head
	status   int
	length   int64
	content  int64
	end      int
	last     int // phase
	digestAt int64
	digest   [2]uint64
}

// digestKeys are those of follow.c.
var digestKeys = [2]uint64{1<<61 - 1 - 5, 1234567890123456789}

// follow has it follow the octets in pieces of these sizes; what they leave over is the last piece.
func follow(t testing.TB, kind byte, octets []byte, sizes []int) (f followed) {
	t.Helper()
	var list []byte
	pieces, left := uint32(0), len(octets)
	for _, n := range append(sizes, len(octets)) {
		n = min(n, left)
		list = binary.NativeEndian.AppendUint32(list, uint32(n))
		left -= n
		pieces++
	}
	message := binary.NativeEndian.AppendUint32([]byte{kind}, uint32(len(octets)))
	message = binary.NativeEndian.AppendUint32(message, pieces)
	message = append(append(message, list...), octets...)
	if _, err := helper.in.Write(message); err != nil {
		t.Fatal(err)
	}
	line, err := helper.out.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &f.head, &f.phase, &f.status, &f.length, &f.content, &f.end, &f.last, &f.digestAt, &f.digest[0], &f.digest[1])
	}
	if err != nil {
		t.Fatalf("follow.c ended: %v", err)
	}
	return f
}

// check compares the splits among each other, and with the core.
func check(t *testing.T, kind byte, octets []byte, seed int64) {
	t.Helper()
	whole := follow(t, kind, octets, nil)
	ones := make([]int, len(octets))
	for i := range ones {
		ones[i] = 1
	}
	random, some := rand.New(rand.NewSource(seed)), []int(nil)
	for sum := 0; sum < len(octets); {
		n := random.Intn(1 + random.Intn(40))
		some, sum = append(some, n), sum+n
	}
	for _, sizes := range [][]int{ones, some} {
		if other := follow(t, kind, octets, sizes); other != whole {
			t.Fatalf("kind %d %q:\nin one piece %+v\nin pieces    %+v %v", kind, octets, whole, other, sizes)
		}
	}
	if kind == request {
		checkRequest(t, octets, whole)
	} else {
		checkResponse(t, kind, octets, whole)
	}
}

// heeded reports whether the shim follows the head as far as the core does: it keeps no long lines, and no folded ones.
func heeded(head []byte) bool {
	for line := range strings.Lines(string(head)) {
		if len(line) >= lineMax || line[0] == ' ' || line[0] == '\t' {
			return false
		}
	}
	return true
}

func checkResponse(t *testing.T, kind byte, octets []byte, c followed) {
	t.Helper()
	if c.head < 0 {
		end := http1.HeadEnd(octets)
		if end < 0 || c.last != phaseBroken || !heeded(octets[:end]) {
			return
		}
		if r, err := http1.ParseResponse(octets[:end]); err == nil {
			if framing, err := r.Framing("GET"); err == nil && framing.Kind != http1.None && framing.Kind != http1.Tunnel {
				t.Fatalf("%q: the shim gives the head up, the core finds %+v", octets, framing)
			}
		}
		return
	}
	r, err := http1.ParseResponse(octets[:c.head])
	if err != nil {
		return // the core looks at more of a head than the shim, and leaves it alone then
	}
	if r.Status != c.status {
		t.Fatalf("%q: status %d for the shim, %d for the core", octets, c.status, r.Status)
	}
	method := "GET"
	if kind == responseToHead {
		method = "HEAD"
	}
	framing, err := r.Framing(method)
	if err != nil {
		return
	}
	body := octets[c.head:]
	switch framing.Kind {
	case http1.Tunnel:
		if c.phase != phaseBroken {
			t.Fatalf("%q: phase %d in a tunnel", octets, c.phase)
		}
	case http1.None:
		if c.phase != phaseLength || c.end != c.head || c.content != 0 {
			t.Fatalf("%q: no content for the core, the shim: %+v", octets, c)
		}
	case http1.Length:
		n := min(framing.Length, int64(len(body)))
		if c.phase != phaseLength || c.length != framing.Length || c.content != n || (c.end >= 0) != (n == framing.Length) ||
			c.end >= 0 && int64(c.end) != int64(c.head)+n {
			t.Fatalf("%q: %+v for the core, the shim: %+v", octets, framing, c)
		}
		if d := digest.New(c.digest, digestKeys); c.digestAt != n || !d.Equal(d.Empty().Add(body[:n])) {
			t.Fatalf("%q: the digest of %d octets is %v", octets, c.digestAt, c.digest)
		}
	case http1.Close:
		if c.phase != phaseClose || c.content != int64(len(body)) || c.end >= 0 {
			t.Fatalf("%q: %+v for the core, the shim: %+v", octets, framing, c)
		}
	case http1.Chunked:
		if c.phase != phaseChunkSize {
			t.Fatalf("%q: chunked for the core, the shim: %+v", octets, c)
		}
		checkChunks(t, octets, body, c)
	}
}

func checkChunks(t *testing.T, octets, body []byte, c followed) {
	t.Helper()
	var d http1.ChunkDecoder
	content, used, done, err := d.Scan(body)
	if content != c.content {
		t.Fatalf("%q: %d octets of content for the core, the shim: %+v", octets, content, c)
	}
	switch {
	case err != nil:
		// The shim takes any line as a trailer field.
		if c.last != phaseBroken && c.end < 0 && c.last != phaseTrailer {
			t.Fatalf("%q: malformed for the core (%v), the shim: %+v", octets, err, c)
		}
		if c.end >= 0 && !inTrailer(err) {
			t.Fatalf("%q: malformed for the core (%v), at an end for the shim: %+v", octets, err, c)
		}
	case done:
		if c.end != c.head+used {
			t.Fatalf("%q: ends at %d for the core, the shim: %+v", octets, c.head+used, c)
		}
	case c.last == phaseBroken || c.end >= 0:
		// The core takes the trailer section apart at its end only.
		if c.end >= 0 || !strings.Contains(string(body), "0") {
			t.Fatalf("%q: not ended for the core, the shim: %+v", octets, c)
		}
		if _, _, _, err := d.Scan([]byte("\n\n\n")); err == nil {
			t.Fatalf("%q: well-formed for the core, the shim: %+v", octets, c)
		}
	}
}

func inTrailer(err error) bool {
	return errors.Is(err, http1.ErrMalformed) && strings.Contains(err.Error(), "trailer section")
}

func checkRequest(t *testing.T, octets []byte, c followed) {
	t.Helper()
	if c.head < 0 {
		return
	}
	r, err := http1.ParseRequest(octets[:c.head])
	if err != nil || r.Method == "CONNECT" || r.Has("Transfer-Encoding") {
		return
	}
	if c.phase != phaseLength || r.Has("Content-Length") != (c.length >= 0) {
		t.Fatalf("%q: the shim: %+v", octets, c)
	}
}

// parts are what messages are made of; any number of them in any order is tried.
var parts = []string{
	"HTTP/1.1 200 OK\r\n", "HTTP/1.0 206 \n", "HTTP/1.1 304\r\n", "HTTP/1.1 103 Early\r\n\r\n", "HTTP/1.1 101 Switching\r\n", "HTTP/1.1 2000 x\r\n",
	"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\n", "CONNECT a:1 HTTP/1.1\r\n", "HEAD * HTTP/1.1\r\n",
	"Content-Length: 5\r\n", "content-length:5, 5\n", "Content-Length: \t05 \r\n", "Content-Length: +5\r\n", "Content-Length: 5,\r\n", "Content-Length:\r\n",
	"Content-Length: 9223372036854775807\r\n", "Content-Length: 9223372036854775808\r\n", "Content-Length : 5\r\n", "Content-Length: 5\r\n 5\r\n",
	"Transfer-Encoding: chunked\r\n", "transfer-encoding: gzip, CHUNKED \r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked;q=1\r\n",
	"Transfer-Encoding:\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: ,chunked\r\n",
	"ETag: \"v\"\r\n", "X: y\r\n", " folded\r\n", "no colon\r\n", "Bare\rCR: 1\r\n", ": none\r\n",
	"\r\n", "\n", "\r", " ", "\t", "\x00", ";", ";ext=\"a;b\"", " ;x", "0", "5", "a", "F", "00000000000000000", "7fffffffffffffff", "8000000000000000",
	"0\r\n\r\n", "0\n\n", "5\r\nhello\r\n", "005\nhello\n", "5 ;n=v\r\nhello\r\n", "3\r\nabcd", "1\r\nxx\r\n", "Digest: none\r\n", "hello", "x",
}

// Most chunks here are plain and follow each other; in between stands what is not plain, or no chunk at all.
func TestRunsOfPlainChunksAreFollowedAsAnyOthers(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	odd := []string{"\r", "\n", "0", "00000000", "000000001\r\nx\r\n", "0\r\n\r\n", "5;x\r\nhello\r\n", "5\nhello\n", "5\r\nhello\n", "g\r\n", "5 \r\nhello\r\n"}
	for i := range 3_000 {
		b := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 1 + random.Intn(12) {
			if random.Intn(12) == 0 {
				b = append(b, odd[random.Intn(len(odd))]...)
				continue
			}
			n := 1 + random.Intn(300)
			b = fmt.Appendf(b, []string{"%x\r\n", "%X\r\n", "%08x\r\n"}[random.Intn(3)], n)
			b = append(append(b, bytes.Repeat([]byte{"a\r\n5"[random.Intn(4)]}, n)...), "\r\n"...)
		}
		check(t, response, append(b, []string{"", "0\r\n\r\n", "1", "1\r"}[random.Intn(4)]...), int64(i))
	}
}

// Messages are put together at random, most of them nearly well-formed.
func TestShimAndCoreAgree(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	pick := func(from, to int) string { return parts[from+random.Intn(to-from)] }
	for i := range 12_000 {
		kind := byte(random.Intn(3))
		var b strings.Builder
		if kind == request {
			b.WriteString(pick(6, 10))
		} else {
			b.WriteString(pick(0, 6))
		}
		for range random.Intn(3) {
			b.WriteString(pick(10, 33))
		}
		if random.Intn(2) == 0 {
			b.WriteString("Transfer-Encoding: chunked\r\n")
		}
		b.WriteString(pick(33, 35))
		for range random.Intn(8) {
			b.WriteString(pick(33, len(parts)))
		}
		check(t, kind, []byte(b.String()), int64(i))
	}
}

func FuzzShimAndCoreAgree(f *testing.F) {
	for _, start := range parts[:10] {
		for _, framing := range []string{"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""} {
			for kind := range byte(3) {
				f.Add(kind, []byte(start+framing+"\r\nhello"), int64(1))
				f.Add(kind, []byte(start+framing+"\r\n5;a=b\r\nhello\r\n00\r\nT: x\r\n\r\nnext"), int64(2))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, octets []byte, seed int64) {
		if len(octets) > 3000 { // limits on long lines are each side's own
			return
		}
		check(t, kind%3, octets, seed)
	})
}
