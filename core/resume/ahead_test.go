package resume

import (
	"math"
	"testing"
	"time"

	"midstream/core/relay"
)

// TestLookAhead: the hand-over comes when the new connection has got as fast as the old one, unless something forbids to wait.
func TestLookAhead(t *testing.T) {
	const ms = time.Millisecond
	plenty := func(n int64) int64 { return n }
	for _, c := range []struct {
		name      string
		rate      float64
		rtt, wait time.Duration
		left      int64
		room      func(int64) int64
		want      float64 // in seconds of the rate
	}{
		{"within the first burst", 500e3, 20 * ms, 20 * ms, relay.Unknown, plenty, 0.026},
		{"three more bursts: 14, 28, 56 kB and then the 100 kB in flight", 5e6, 20 * ms, 20 * ms, relay.Unknown, plenty, 0.026 + 0.060},
		{"a server that takes its time", 5e6, 20 * ms, 100 * ms, relay.Unknown, plenty, 0.118 + 0.060},
		{"room for one burst more only", 5e6, 20 * ms, 20 * ms, relay.Unknown, func(int64) int64 { return 40 << 10 }, 0.026 + 0.020},
		{"no room", 5e6, 20 * ms, 20 * ms, relay.Unknown, func(int64) int64 { return 0 }, 0.026},
		{"near the end", 5e6, 20 * ms, 20 * ms, 300e3, plenty, 0.026 + 0.020},
		{"at the end", 5e6, 20 * ms, 20 * ms, 0, plenty, 0.026},
		{"far away: a second at most", 1e9, 300 * ms, 300 * ms, relay.Unknown, plenty, 0.348 + 0.900},
		{"nothing comes", 0, 20 * ms, 20 * ms, relay.Unknown, plenty, 0},
		{"on the machine itself", 4e9, 20 * time.Microsecond, 20 * time.Microsecond, relay.Unknown, plenty, 0.003023 + 0.00006},
	} {
		got := LookAhead{Rate: c.rate, RTT: c.rtt, Wait: c.wait, Factor: 1.15, Left: c.left, Room: c.room}.Octets()
		if math.Abs(float64(got)-c.rate*c.want) > c.rate*1e-5+2 {
			t.Errorf("%s: %d octets, want %.0f", c.name, got, c.rate*c.want)
		}
	}
	// Whatever is measured, nothing overflows.
	for _, rate := range []float64{0, 1, 1e6, 1e12} {
		for _, rtt := range []time.Duration{0, 1, ms, time.Hour} {
			if got := (LookAhead{Rate: rate, RTT: rtt, Wait: rtt, Factor: 10, Left: relay.Unknown, Room: plenty}).Octets(); got < 0 {
				t.Errorf("rate %g, round trip %v: %d octets", rate, rtt, got)
			}
		}
	}
}
