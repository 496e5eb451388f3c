package resume

import (
	"strings"
	"testing"
	"time"
)

// What a connection that has to catch up is said not to be able to, by both paces and what is left, and when it is said.
func TestChaserRefusesWhatCannotCatchUp(t *testing.T) {
	const mb = 1_000_000
	for name, test := range map[string]struct {
		mine, theirs float64 // octets a second
		behind, end  int64
		after        time.Duration // 0: it may catch up
		why          string
	}{
		"equally fast":                {5 * mb, 5 * mb, 50 * mb, 100 * mb, 1250 * time.Millisecond, "needs 8.8 s for the rest"},
		"too late":                    {6 * mb, 5 * mb, 50 * mb, 100 * mb, 1250 * time.Millisecond, "48.8 MB behind"},
		"in time":                     {11 * mb, 5 * mb, 50 * mb, 100 * mb, 0, ""},
		"faster, for nobody's length": {6 * mb, 5 * mb, 50 * mb, -1, 0, ""},
		"slower, for nobody's length": {4 * mb, 5 * mb, 50 * mb, -1, 1250 * time.Millisecond, "brings 4.00 MB a second"},
		"the old one stands still":    {1 * mb, 0, 50 * mb, 100 * mb, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var c chaser
			begun := time.Unix(1_000_000, 0)
			for at := time.Duration(0); at < 3*time.Second; at += 50 * time.Millisecond {
				now := at.Seconds()
				why := c.look(begun.Add(at), int64(test.mine*now), test.behind+int64(test.theirs*now), test.end)
				if why.None() {
					continue
				}
				if test.after == 0 || at != test.after || !strings.Contains(why.Error(), test.why) {
					t.Errorf("after %v: %s", at, why)
				}
				return
			}
			if test.after != 0 {
				t.Error("nothing is said")
			}
		})
	}
}

// A slow start is not held against it.
func TestChaserAwaitsTheSlowStart(t *testing.T) {
	var c chaser
	begun, at := time.Unix(1_000_000, 0), int64(0)
	for d := time.Duration(0); d < 3*time.Second; d += 50 * time.Millisecond {
		if d > 300*time.Millisecond {
			at += 1_000_000
		}
		if why := c.look(begun.Add(d), at, 30_000_000+int64(d/1000), 100_000_000); !why.None() {
			t.Fatalf("after %v: %s", d, why)
		}
	}
}
