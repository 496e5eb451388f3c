// What counts as a suspicious silence, by the flow before it.
package controller

import (
	"testing"
	"time"
)

// flow makes the history of a stream whose octets came at these intervals.
func flow(intervals ...time.Duration) *history {
	now := time.Unix(1000, 0)
	h := &history{begun: now, heard: now, weighed: now}
	for _, d := range intervals {
		now = now.Add(d)
		if h.changes > 0 {
			h.learn(now, d)
		}
		h.heard = now
		h.changes++
	}
	return h
}

func every(d time.Duration, times int) []time.Duration {
	list := make([]time.Duration, times)
	for i := range list {
		list[i] = d
	}
	return list
}

const least = 200 * time.Millisecond

func TestASteadyStreamIsSuspectedWithinAQuarterOfASecond(t *testing.T) {
	steady := flow(every(25*time.Millisecond, 100)...)
	if got := steady.limit(least, 0); got != least {
		t.Errorf("suspected after %v", got)
	}
	congested := flow(append(every(25*time.Millisecond, 100), 190*time.Millisecond)...)
	if got := congested.limit(least, 0); got <= 190*time.Millisecond || got > 250*time.Millisecond {
		t.Errorf("after a pause of congestion: suspected after %v", got)
	}
}

func TestAStreamWithPausesIsGivenLongerOnes(t *testing.T) {
	slow := flow(every(2*time.Second, 20)...)
	if got := slow.limit(least, 0); got < 3*time.Second {
		t.Errorf("a live stream with an octet every two seconds is suspected after %v", got)
	}
	if got := flow(every(25*time.Millisecond, 3)...).limit(least, 0); got < time.Second {
		t.Errorf("a stream that has just begun is suspected after %v", got)
	}
}

func TestAPauseIsForgotten(t *testing.T) {
	h := flow(append(append(every(25*time.Millisecond, 20), 3*time.Second), every(25*time.Millisecond, 3000)...)...)
	if got := h.limit(least, 0); got > 250*time.Millisecond {
		t.Errorf("suspected after %v, 75 s after a long pause", got)
	}
}

func TestFalseAlarmsMakePatient(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	before := h.limit(least, 0)
	h.alarmed(time.Now().Add(-300*time.Millisecond), true)
	if got := h.limit(least, 0); got < 2*before {
		t.Errorf("suspected after %v again", got)
	}
}

func TestALongRoundTripIsWaitedFor(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	if got := h.limit(least, time.Second); got < time.Second {
		t.Errorf("suspected after %v with a round trip of half a second", got)
	}
}
