package twin

import (
	"context"
	"errors"
	"io"
	"testing"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
)

// shim answers messages as the test says.
type shim struct {
	twins *Twins
	kinds []channel.Kind
	reply func(m channel.Message) (channel.Message, bool)
}

func (s *shim) send(m channel.Message, _ int) error {
	s.kinds = append(s.kinds, m.Kind)
	if answer, ok := s.reply(m); ok {
		answer.B, answer.Exchange = m.B, m.Exchange
		s.twins.Deliver(answer)
	}
	return nil
}

func newShim(reply func(m channel.Message) (channel.Message, bool)) *shim {
	s := &shim{reply: reply}
	s.twins = Of(s.send, func(kind channel.Kind) channel.Message { return channel.Message{Kind: kind} })
	return s
}

func connection(t *testing.T) *dial.Conn {
	conn, _ := dialtest.Pair(t)
	return conn
}

func TestATwinIsReadThroughMessages(t *testing.T) {
	asked := 0
	s := newShim(func(m channel.Message) (channel.Message, bool) {
		switch m.Kind {
		case channel.Twin:
			return channel.Message{Kind: channel.TwinReady, Data: []byte("TLSv1.3\x00x\x00the same certificate\x00")}, true
		case channel.TwinPeek:
			return channel.Message{Kind: channel.TwinOctets, Data: []byte("HTTP/1.1 200 OK\r\n\r\n")[m.A:]}, true
		case channel.TwinSkip:
			return channel.Message{Kind: channel.TwinSkipped}, true
		case channel.TwinRead:
			asked++
			return []channel.Message{
				{Kind: channel.TwinOctets, Data: []byte("content")},
				{Kind: channel.TwinOctets, Data: []byte("X: 1\r\n\r\n"), Flags: channel.Trailing},
				{Kind: channel.TwinOctets, Flags: channel.Last},
			}[asked-1], true
		}
		return channel.Message{}, false
	})
	twin, err := s.twins.Make(t.Context(), connection(t), "")
	if err != nil || twin.Version != "TLSv1.3" || twin.Judged != "the same certificate" {
		t.Fatalf("%+v, %v", twin, err)
	}
	head := make([]byte, 64)
	n, err := twin.PeekMore(0, head)
	if err != nil || string(head[:n]) != "HTTP/1.1 200 OK\r\n\r\n" {
		t.Fatalf("%q, %v", head[:n], err)
	}
	if n, err := twin.Discard(n); n != 19 || err != nil {
		t.Fatal(n, err)
	}
	if body, err := io.ReadAll(twin); err != nil || string(body) != "content" || string(twin.Trailer()) != "X: 1\r\n\r\n" {
		t.Errorf("%q, %q, %v", body, twin.Trailer(), err)
	}
	twin.Close()
	if last := s.kinds[len(s.kinds)-1]; last != channel.TwinClose {
		t.Errorf("the last message was %d", last)
	}
}

func TestWhoeverWaitsForATwinIsToldOfTheEnd(t *testing.T) {
	var s *shim
	s = newShim(func(m channel.Message) (channel.Message, bool) {
		go s.twins.Close()
		return channel.Message{}, false
	})
	if _, err := s.twins.Make(t.Context(), connection(t), ""); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := s.twins.Make(t.Context(), connection(t), ""); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestATwinThatIsArmedIsTheStreams(t *testing.T) {
	s := newShim(func(m channel.Message) (channel.Message, bool) {
		return channel.Message{Kind: channel.TwinReady}, m.Kind == channel.Twin
	})
	twin, err := s.twins.Make(t.Context(), connection(t), "")
	if err != nil {
		t.Fatal(err)
	}
	twin.Arm(channel.Message{Kind: channel.Arm}, channel.Handover{})
	twin.Close()
	if last := s.kinds[len(s.kinds)-1]; last != channel.Arm {
		t.Errorf("the last message was %d", last)
	}
}

func TestAHandshakeThatIsTooLateSaysWhoWasWaitedFor(t *testing.T) {
	var s *shim
	ctx, cancel := context.WithCancel(t.Context())
	s = newShim(func(m channel.Message) (channel.Message, bool) {
		if m.Kind == channel.Twin {
			s.twins.Deliver(channel.Message{Kind: channel.TwinAsks, B: m.B})
			cancel()
		}
		return channel.Message{}, false
	})
	if _, err := s.twins.Make(ctx, connection(t), ""); err == nil || err.Error() != "the program's own verification could not be asked in time: the program has not read meanwhile" {
		t.Errorf("%v", err)
	}
}
