package twin

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/reason"
)

// flowing returns a twin whose octets pass by a pair, with the shim's end of that.
func flowing(t *testing.T) (*shim, *Twin, *os.File) {
	t.Helper()
	s := newShim(func(m channel.Message) (channel.Message, bool) {
		return channel.Message{Kind: channel.TwinReady}, m.Kind == channel.Twin
	})
	var peer *os.File
	answer := s.twins.send
	s.twins.send = func(m channel.Message, fd int) error {
		if m.Kind == channel.TwinFlow {
			own, err := syscall.Dup(fd)
			if err != nil {
				return err
			}
			peer = os.NewFile(uintptr(own), "peer")
		}
		return answer(m, fd)
	}
	conn := connection(t)
	twin, err := s.twins.Make(t.Context(), conn, "")
	if err != nil {
		t.Fatal(err)
	}
	conn.Lay(twin)
	if _, err := Flow(conn, nil); err != nil || peer == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { twin.Close(); peer.Close() })
	return s, twin, peer
}

func TestATwinsOctetsPassAsTheyAre(t *testing.T) {
	s, twin, peer := flowing(t)
	if n, err := twin.Write([]byte("GET")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	b := make([]byte, 16)
	if n, err := peer.Read(b); string(b[:n]) != "GET" || err != nil {
		t.Fatalf("%q %v", b[:n], err)
	}
	peer.Write([]byte("HTTP/1.1 200"))
	if n, err := twin.Discard(5); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := twin.Read(b); string(b[:n]) != "1.1 200" || err != nil {
		t.Fatalf("%q %v", b[:n], err)
	}
	twin.SetReadDeadline(time.Unix(1, 0))
	if _, err := twin.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	twin.Close()
	if last := s.kinds[len(s.kinds)-1]; last != channel.TwinClose {
		t.Errorf("the last message was %d", last)
	}
	if _, err := peer.Read(b); err != io.EOF {
		t.Error("the pair is still there:", err)
	}
}

// What ends without a word may have been cut off.
func TestTheEndOfATwinsOctetsIsTheShimsToSay(t *testing.T) {
	for name, c := range map[string]struct {
		word *channel.Message
		want error
	}{
		"orderly": {&channel.Message{Kind: channel.TwinOctets, Flags: channel.Last}, io.EOF},
		"failed":  {&channel.Message{Kind: channel.TwinFailed, Data: reason.TwinBroken.Alone().Encode()}, reason.TwinBroken},
		"silent":  {nil, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			s, twin, peer := flowing(t)
			peer.Write([]byte("last"))
			if c.word != nil {
				c.word.B = twin.number
				s.twins.Deliver(*c.word)
			}
			peer.Close()
			octets, err := io.ReadAll(twin)
			if string(octets) != "last" || !errors.Is(err, c.want) && !(c.want == io.EOF && err == nil) {
				t.Errorf("%q %v", octets, err)
			}
		})
	}
}

func TestAConnectionWithoutATwinFlowsAsItIs(t *testing.T) {
	conn := connection(t)
	if got, err := Flow(conn, nil); got != conn || err != nil {
		t.Error(got, err)
	}
	refused := errors.New("refused")
	if got, err := Flow((*dial.Conn)(nil), refused); got != nil || err != refused {
		t.Error(got, err)
	}
}

// What has been shown of a head is read first, and no octet twice.
func TestAHeadIsReadOffAFlow(t *testing.T) {
	_, twin, peer := flowing(t)
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
}

var _ dial.Over = (*Twin)(nil)
