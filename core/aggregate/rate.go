// How fast a path is.
package aggregate

import "time"

const (
	// rateOver is the time over which a path's rate is taken, or two round trips where that is longer: shorter, and the bursts
	// of a TCP sender count as changes; longer, and a rate that falls is seen too late.
	rateOver = 300 * time.Millisecond
	// starts is for how long a new connection counts as one that still grows (slow start): what its last round trip has brought is
	// its rate then, since the mean is of what it was.
	starts = 1500 * time.Millisecond

	meterSamples = 256
	meterStep    = 4 * time.Millisecond
)

// meter measures octets over the time in which they could come: what passes while nothing is asked for, or before the first
// octet of an answer, does not count.
type meter struct {
	samples [meterSamples]sample // a ring, the newest at newest
	newest  int
	count   int
	octets  int64
	busy    time.Duration
	last    time.Duration // when busy was counted last
	grown   bool          // something was lost: what comes in order then comes at once
}

type sample struct {
	busy   time.Duration
	octets int64
}

// begin tells that octets can come from then on.
func (m *meter) begin(at time.Duration) {
	m.last = at
	if m.count == 0 {
		m.count = 1
	}
}

// add takes octets that have come since the last call, perhaps none, with a path's round trip.
func (m *meter) add(now time.Duration, octets int64, rtt time.Duration) {
	if now > m.last {
		m.busy += now - m.last
		m.last = now
	}
	m.octets += octets
	if m.busy-m.samples[m.newest].busy >= max(meterStep, rtt/32) {
		m.newest = (m.newest + 1) % meterSamples
		m.count = min(m.count+1, meterSamples)
		m.samples[m.newest] = sample{m.busy, m.octets}
	}
}

// over returns octets a second over the last so long; less where there is not so much.
func (m *meter) over(span, least time.Duration) float64 {
	// The samples are in the order of time: the youngest that is old enough.
	from, i := m.samples[m.newest], m.newest
	for k := 1; k < m.count && m.busy-from.busy < span; k++ {
		if i--; i < 0 {
			i += meterSamples
		}
		from = m.samples[i]
	}
	return float64(m.octets-from.octets) / max(m.busy-from.busy, least).Seconds()
}

// rate returns octets a second; ok is false before anything is known.
func (m *meter) rate(rtt time.Duration) (rate float64, ok bool) {
	if m.octets == 0 {
		return 0, false
	}
	rate = m.over(max(rateOver, 2*rtt), max(rtt, meterStep))
	if m.busy < starts && !m.grown {
		rate = max(rate, m.over(rtt, max(rtt, meterStep)))
	}
	return rate, true
}
