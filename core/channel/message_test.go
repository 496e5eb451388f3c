package channel

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"midstream/core/reason"
)

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	m := Message{Kind: 3, Flags: 5, Slot: 7, Stream: 9, Exchange: 11, A: -13, B: 15, Arming: 17, Data: []byte("data")}
	got, err := decode(m.encode())
	if err != nil || got.Kind != m.Kind || got.Flags != m.Flags || got.Slot != m.Slot || got.Stream != m.Stream || got.Exchange != m.Exchange ||
		got.A != m.A || got.B != m.B || got.Arming != m.Arming || !bytes.Equal(got.Data, m.Data) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStructuresAreReadAsTheyWereWritten(t *testing.T) {
	for _, name := range []string{"192.0.2.1:80", "[2001:db8::1]:443"} {
		o := Opening{FD: 1, Domain: 2, Protocol: 6, Peer: netip.MustParseAddrPort(name), Local: netip.MustParseAddrPort("[::1]:5")}
		if got, err := ParseOpening(o.Encode()); err != nil || got != o {
			t.Errorf("%+v has become %+v, %v", o, got, err)
		}
	}
	p := Position{Received: 1, ChunkLeft: 2, ChunkSize: 3, ChunkDigits: 4, Phase: PhaseTrailer, Line: 5, CR: true, Unchunked: 6}
	if got, err := ParsePosition(p.Encode()); err != nil || got != p {
		t.Errorf("%+v has become %+v, %v", p, got, err)
	}
	i := SocketInfo{Position: p, Forked: true, PastHooks: true, Inode: 1, Unread: 2, RTT: 3 * time.Millisecond, RTTVar: time.Microsecond,
		Retransmits: 4, OutOfOrder: 5, ReceiveRTT: time.Second}
	if got, err := ParseInfo(i.Encode()); err != nil || got != i {
		t.Errorf("%+v has become %+v, %v", i, got, err)
	}
}

// A message may be of any length: none is read beyond its end.
func FuzzDecode(f *testing.F) {
	whole := make([]byte, headerSize+max(wireInfoSize, wireOpeningSize))
	for _, n := range []int{0, headerSize - 1, headerSize, headerSize + wireOpeningSize, headerSize + wirePositionSize, len(whole)} {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		m, err := decode(octets)
		if (err == nil) != (len(octets) >= headerSize) {
			t.Fatalf("%d octets: %v", len(octets), err)
		}
		if err == nil && !bytes.Equal(m.encode(), octets) {
			t.Errorf("%x has become %x", octets, m.encode())
		}
		ParseOpening(m.Data)
		ParsePosition(m.Data)
		ParseInfo(m.Data)
		ParseHandover(m.Data)
		if r, err := reason.Parse(m.Data); err == nil && (r.Error() == "") != r.None() {
			t.Errorf("reason %d: %q", r.Why, r.Error())
		}
	})
}
