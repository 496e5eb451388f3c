package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// wire connects two sockets over the loopback interface.
func wire(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestCopyStopsAtTheOctet(t *testing.T) {
	server, client := wire(t)
	core, program := wire(t)
	octets := bytes.Repeat([]byte("0123456789"), 30_000)
	go server.Write(octets)
	go func() {
		if n, err := Copy(core, client, 123_457); n != 123_457 || err != nil {
			t.Errorf("%d octets, %v", n, err)
		}
		core.Close()
	}()
	got, err := io.ReadAll(program)
	if err != nil || !bytes.Equal(got, octets[:123_457]) {
		t.Errorf("%d octets, %v", len(got), err)
	}
	rest := make([]byte, 3)
	if _, err := io.ReadFull(client, rest); err != nil || !bytes.Equal(rest, octets[123_457:123_460]) {
		t.Errorf("then %q, %v", rest, err)
	}
}

// The two benchmarks together show what a relay costs: the same octets from a server to a reader, directly and through
// a pair.
func BenchmarkDirect(b *testing.B) {
	server, client := wire(b)
	transfer(b, server, client)
}

func BenchmarkRelayed(b *testing.B) {
	server, client := wire(b)
	p, err := NewPair(2)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	go Copy(p.Core, client, -1)
	transfer(b, server, p.Program)
}

func transfer(b *testing.B, server io.Writer, reader io.Reader) {
	const piece = 1 << 20
	octets, into := make([]byte, piece), make([]byte, 64<<10)
	b.SetBytes(piece)
	go func() {
		for range b.N {
			server.Write(octets)
		}
	}()
	b.ResetTimer()
	for left := b.N * piece; left > 0; {
		n, err := reader.Read(into)
		if err != nil {
			b.Fatal(err)
		}
		left -= n
	}
}
