package channel

import (
	"bytes"
	"testing"
)

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	m := Message{Kind: 3, Flags: 5, Slot: 7, Stream: 9, Exchange: 11, A: -13, B: 15, Arming: 17, Data: []byte("data")}
	got, err := decode(m.encode())
	if err != nil || got.Kind != m.Kind || got.Flags != m.Flags || got.Slot != m.Slot || got.Stream != m.Stream || got.Exchange != m.Exchange ||
		got.A != m.A || got.B != m.B || got.Arming != m.Arming || !bytes.Equal(got.Data, m.Data) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A message may be of any length: none is read beyond its end.
func FuzzDecode(f *testing.F) {
	whole := make([]byte, headerSize+positionSize+56)
	for _, n := range []int{0, headerSize - 1, headerSize, headerSize + 16 + 2*28, headerSize + positionSize, len(whole)} {
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
		if r, err := ParseReason(m.Data); err == nil && (r.Error() == "") != (r.Why == 0) {
			t.Errorf("reason %d: %q", r.Why, r.Error())
		}
	})
}
