package channel

import "testing"

// A hand-over that says nothing special is one to the end of what comes.
func TestAHandoverGoesOnToTheEndUnlessItSaysOtherwise(t *testing.T) {
	for until, want := range map[int64]uint64{0: uint64(NoStop), 7: 7} {
		b := Handover{At: 5, Until: until}.Encode()
		if len(b) != handoverSize || order.Uint64(b[16:]) != 5 || order.Uint64(b[24:]) != want {
			t.Errorf("until %d: %x", until, b)
		}
	}
}
