package twin

import (
	"io"
	"os"
	"syscall"
	"testing"

	"midstream/core/channel"
	"midstream/core/dial"
)

// What has been shown of a head is read first, and no octet twice.
func TestAHeadIsReadOffAFlow(t *testing.T) {
	var peer *os.File
	var twins *Twins
	twins = Of(func(m channel.Message, fd int) error {
		switch m.Kind {
		case channel.Twin:
			twins.Deliver(channel.Message{Kind: channel.TwinReady, B: m.B, Data: []byte("TLSv1.3\x00x\x00same key\x00")})
		case channel.TwinFlow:
			own, err := syscall.Dup(fd)
			if err != nil {
				return err
			}
			peer = os.NewFile(uintptr(own), "peer")
		}
		return nil
	}, func(kind channel.Kind) channel.Message { return channel.Message{Kind: kind} })
	conn := connection(t)
	twin, err := twins.Make(t.Context(), conn, "")
	if err != nil {
		t.Fatal(err)
	}
	conn.Lay(twin)
	if _, err := Flow(conn, nil); err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	const head, rest = "HTTP/1.1 200 OK\r\n\r\n", "content"
	io.WriteString(peer, head[:5])
	buffer := make([]byte, 64)
	n, err := twin.PeekMore(0, buffer)
	if err != nil || string(buffer[:n]) != head[:5] {
		t.Fatalf("%q, %v", buffer[:n], err)
	}
	io.WriteString(peer, head[5:]+rest)
	if n, err = twin.PeekMore(n, buffer); err != nil || string(buffer[:n]) != head+rest {
		t.Fatalf("%q, %v", buffer[:n], err)
	}
	if n := twin.Buffered(); n != len(head+rest) {
		t.Errorf("%d octets are there", n)
	}
	if n, err := twin.Discard(len(head)); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	io.WriteString(peer, "!")
	got := make([]byte, len(rest)+1)
	if _, err := io.ReadFull(twin, got); err != nil || string(got) != rest+"!" {
		t.Errorf("%q, %v", got, err)
	}
	twin.Close()
}

var _ dial.Over = (*Twin)(nil)
