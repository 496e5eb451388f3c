// What the streams have shown of the interfaces they are on.
package manager

import (
	"math"
	"time"
)

// Sample is what TCP_INFO and the counters said of one stream at one moment.
type Sample struct {
	RTT         float64 `json:"rtt_ms"`      // smoothed; 0 where unknown
	Retransmits int64   `json:"retransmits"` // of the connection, in all
	Connection  uint64  `json:"connection"`  // changes when the stream is moved
}

// measureAge is how long a measurement counts after the last stream has gone, and over how long the least RTT is
// taken.
const measureAge = time.Minute

// measure is one interface's; it is kept by the engine.
type measure struct {
	rtt, least, loss, throughput float64 // 0: unknown
	leastAt, at                  time.Time
	streams                      int
}

// congestion is 0 to 1: an RTT of twice the least counts 0.25, of five times and more 1; a loss of a tenth counts 1.
func (m *measure) congestion() float64 {
	c := 0.0
	if m.least > 0 {
		// Below some milliseconds the RTT is the processor's load.
		c = (m.rtt - m.least) / (4 * max(m.least, 5))
	}
	return math.Min(1, math.Max(c, m.loss*10))
}

// previous is what a stream's last sample said.
type previous struct {
	sample   Sample
	received int64
	at       time.Time
	rate     float64 // bit/s
}

// shortest is over how many seconds at least a rate is taken: octets arrive in bursts.
const shortest = 0.4

// smoothing is the weight of a new measurement.
const smoothing = 0.4

func smooth(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return old + smoothing*(now-old)
}

// learn takes in the samples of all streams, and returns their rates. With e.mu.
func (e *Engine) learn(now time.Time) {
	type sum struct {
		rtt, rtts, rate, retransmits, segments float64
		streams                                int
	}
	sums := map[string]*sum{}
	for id, r := range e.reports {
		if !r.Active || now.Sub(r.at) > reportAge {
			continue
		}
		of := sums[r.Interface]
		if of == nil {
			of = &sum{}
			sums[r.Interface] = of
		}
		of.streams++
		if r.Sample.RTT > 0 {
			of.rtt += r.Sample.RTT
			of.rtts++
		}
		p, known := e.previous[id]
		elapsed := r.at.Sub(p.at).Seconds()
		if known && elapsed < shortest && p.sample.Connection == r.Sample.Connection {
			of.rate += p.rate
			continue
		}
		n := previous{sample: r.Sample, received: r.Received, at: r.at}
		if known && r.Received >= p.received && p.sample.Connection == r.Sample.Connection {
			octets := float64(r.Received - p.received)
			n.rate = smooth(p.rate, octets*8/elapsed)
			of.retransmits += float64(max(r.Sample.Retransmits-p.sample.Retransmits, 0))
			of.segments += octets / 1448
		}
		of.rate += n.rate
		e.previous[id] = n
	}
	for name, of := range sums {
		m := e.measures[name]
		if m == nil {
			m = &measure{}
			e.measures[name] = m
		}
		m.at, m.streams = now, of.streams
		if of.rtts > 0 {
			m.rtt = smooth(m.rtt, of.rtt/of.rtts)
			if m.least == 0 || m.rtt < m.least || now.Sub(m.leastAt) > measureAge {
				m.least, m.leastAt = m.rtt, now
			}
		}
		if of.segments+of.retransmits > 0 {
			m.loss += smoothing * (of.retransmits/(of.segments+of.retransmits) - m.loss)
		}
		m.throughput = of.rate
	}
	for name, m := range e.measures {
		if sums[name] == nil {
			m.streams = 0
			if now.Sub(m.at) > measureAge {
				delete(e.measures, name)
			}
		}
	}
	for id := range e.previous {
		if _, ok := e.reports[id]; !ok {
			delete(e.previous, id)
		}
	}
}
