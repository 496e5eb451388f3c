package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"midstream/core/http1"
	"midstream/core/internal/pieces"
)

// throughPair sends octets in pieces of these sizes to a feed between sockets, and returns what a program reads that takes
// a little at a time, and what is left on the connection and in what has been read ahead of it.
func throughPair(t *testing.T, octets []byte, sizes []int, kind http1.Kind, left int64) (got, surplus []byte, err error) {
	t.Helper()
	server, client := wire(t)
	pair, failed := NewPair(2)
	if failed != nil {
		t.Fatal(failed)
	}
	defer pair.Program.Close()
	go func() {
		for i := 0; len(octets) > 0; i++ {
			n := min(sizes[i%len(sizes)], len(octets))
			server.Write(octets[:n])
			octets = octets[n:]
		}
		server.(*net.TCPConn).CloseWrite()
	}()
	content := NewContent(client, http1.Framing{Kind: http1.Chunked})
	ended := make(chan error, 1)
	go func() {
		_, err := (&Feed{To: pair.Core, Content: content, Kind: kind, Left: left}).Run()
		pair.Core.Close()
		ended <- err
	}()
	var read bytes.Buffer
	io.CopyBuffer(struct{ io.Writer }{&read}, struct{ io.Reader }{pair.Program}, make([]byte, 3000))
	err = <-ended
	surplus, _ = io.ReadAll(io.MultiReader(bytes.NewReader(content.Surplus()), client))
	return read.Bytes(), surplus, err
}

// mixed returns content in chunks of very different sizes, with what follows it.
func mixed(random *rand.Rand, length int) (content, octets []byte) {
	content = make([]byte, length)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	octets = []byte{}
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 1+random.IntN(1<<random.IntN(20)))
		line := "%x\r\n"
		if random.IntN(4) == 0 {
			line = "%06X;name=\"value\"\r\n"
		}
		octets = append(fmt.Appendf(octets, line, n), rest[:n]...)
		octets = append(octets, "\r\n"...)
		rest = rest[n:]
	}
	return content, append(octets, "0\r\nDigest: x\r\n\r\nHTTP/1.1 200 the next"...)
}

func TestStreamsThatShareBlocksKeepTheirOctets(t *testing.T) {
	var all sync.WaitGroup
	for seed := range uint64(12) {
		all.Add(1)
		go func() {
			defer all.Done()
			random := rand.New(rand.NewPCG(seed, 2))
			content, octets := mixed(random, 1<<20+random.IntN(2<<20))
			sizes := []int{1 + random.IntN(100), 1 + random.IntN(200_000), 1 + random.IntN(20_000)}
			kind, left := kinds[seed%3], int64(len(content))
			if kind != http1.Length && seed > 5 {
				left = Unknown
			}
			got, surplus, err := throughPair(t, octets, sizes, kind, left)
			if err != nil || string(surplus) != "HTTP/1.1 200 the next" {
				t.Errorf("seed %d: %v, then %.60q", seed, err, surplus)
			}
			if got, _, err = reads(kind, got, len(content)); err != nil || !bytes.Equal(got, content) {
				t.Errorf("seed %d: %d octets of %d, %v", seed, len(got), len(content), err)
			}
		}()
	}
	all.Wait()
}

func FuzzBlocks(f *testing.F) {
	f.Add(uint64(1), uint32(200_000), uint32(0), uint8(0), uint8(0))
	f.Add(uint64(2), uint32(300_000), uint32(150_000), uint8('x'), uint8(1))
	f.Add(uint64(3), uint32(1000), uint32(3), uint8('\n'), uint8(2))
	// An octet somewhere is another one: what is delivered, and the error, are those of octets that do not come over sockets.
	f.Fuzz(func(t *testing.T, seed uint64, length, place uint32, octet, framing uint8) {
		random := rand.New(rand.NewPCG(seed, 3))
		content, octets := mixed(random, 1+int(length)%400_000)
		if place > 0 {
			octets[int(place)%len(octets)] = octet
		}
		kind, left := kinds[framing%3], int64(len(content))
		to := &pieces.Conn{}
		_, want := (&Feed{To: to, Content: NewContent(&pieces.Conn{Octets: bytes.Clone(octets)}, http1.Framing{Kind: http1.Chunked}), Kind: kind, Left: left}).Run()
		got, _, err := throughPair(t, octets, []int{1 + random.IntN(50_000), 1 + random.IntN(300)}, kind, left)
		if text(err) != text(want) || !bytes.Equal(got, to.Written.Bytes()) {
			t.Errorf("%d octets, %v; by other connections %d octets, %v", len(got), err, to.Written.Len(), want)
		}
		var source *SourceError
		if errors.As(err, &source) != errors.As(want, &source) {
			t.Errorf("%T, by other connections %T", err, want)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
