// What a silence calls for, by the flow before it and by what a probe has found.
package controller

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

const least = 200 * time.Millisecond

// flow makes the history of a stream whose octets came at these intervals.
func flow(intervals ...time.Duration) *history {
	now := time.Unix(1000, 0)
	h := &history{begun: now, heard: now, weighed: now}
	for _, d := range intervals {
		now = now.Add(d)
		if h.changes > 0 {
			h.learn(now, d)
		}
		h.hears(now)
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

// acts lets a silence last, looks at it at every tick; actsWhen, when pause says so. It has every probe answered so, and returns when it was left, and how. The
// kernel confirms the silence at once.
func (h *history) acts(path verdict, trips, limit time.Duration) (after time.Duration, how action, probes int) {
	return h.actsWhen(path, trips, limit, func(time.Time) time.Duration { return tick })
}

func (h *history) actsWhen(path verdict, trips, limit time.Duration, pause func(time.Time) time.Duration) (after time.Duration, how action, probes int) {
	for now := h.heard; now.Sub(h.heard) < limit; now = now.Add(pause(now)) {
		if h.probing && now.Sub(h.probed) >= h.answerWithin(trips) {
			h.probing, h.verdict = false, path
		}
		switch a := h.judge(now, least, trips); a {
		case confirm:
			h.asked, h.confirmed = now, now.Add(1)
			if again := h.judge(now.Add(1), least, trips); again == leaveServer || again == leavePath {
				return now.Sub(h.heard), again, probes
			}
		case look:
			h.probed, h.probing = now, path != live
			if path == live {
				h.verdict = live
			}
			probes++
		case leaveServer, leavePath:
			return now.Sub(h.heard), a, probes
		}
	}
	return 0, wait, probes
}

func TestWhenASilentStreamIsLeft(t *testing.T) {
	const ms = time.Millisecond
	steady := every(25*ms, 100)
	for _, c := range []struct {
		name       string
		h          *history
		path       verdict
		trips      time.Duration
		how        action
		least, top time.Duration
	}{
		{"a dead path under a steady flow", flow(steady...), dead, 60 * ms, leavePath, 200 * ms, 230 * ms},
		{"a dead path in the first half second", flow(every(25*ms, 4)...), dead, 80 * ms, leavePath, 200 * ms, 250 * ms},
		{"a dead path before the first octet of content", flow(), dead, 80 * ms, leavePath, 200 * ms, 250 * ms},
		{"a dead path with a long round trip", flow(steady...), dead, time.Second, leavePath, time.Second, 1600 * ms},
		{"a dead path under bursts", flow(every(time.Second, 5)...), dead, 60 * ms, leavePath, 1200 * ms, 1350 * ms},
		{"a silent server after a steady flow", flow(steady...), live, 60 * ms, leaveServer, 200 * ms, 230 * ms},
		{"a silent server after congestion", flow(append(steady, append([]time.Duration{190 * ms}, steady...)...)...), live, 60 * ms, leaveServer, 200 * ms, 250 * ms},
		{"a silent server in the first second", flow(every(25*ms, 30)...), live, 60 * ms, leaveServer, 1100 * ms, 1150 * ms},
		{"a silent server soon after a pause", flow(append(steady, append([]time.Duration{120 * ms}, every(25*ms, 40)...)...)...), live, 60 * ms, leaveServer, 1100 * ms, 1150 * ms},
		{"a silent server with bursts each second", flow(every(time.Second, 5)...), live, 60 * ms, leaveServer, 2200 * ms, 2300 * ms},
		{"a silent server with bursts each ten seconds", flow(every(10*time.Second, 5)...), live, 60 * ms, leaveServer, 22 * time.Second, 23 * time.Second},
		{"a silent server after one burst", flow(every(25*ms, 6)...), live, 60 * ms, leaveServer, 2200 * ms, 2300 * ms},
	} {
		after, how, probes := c.h.acts(c.path, c.trips, time.Minute)
		if how != c.how || after < c.least || after > c.top || probes < 1 || probes > 6 {
			t.Errorf("%s: %d after %v with %d probes", c.name, how, after, probes)
		}
	}
}

// A request without an answer is never made again because its server is slow.
func TestAServerThatThinksIsNotLeft(t *testing.T) {
	now := time.Unix(1000, 0)
	fresh := func() *history { return &history{begun: now, heard: now, weighed: now, waiting: true} }
	if after, how, probes := fresh().acts(live, 80*time.Millisecond, 10*time.Minute); how != wait || probes < 2 || probes > 20 {
		t.Errorf("%d after %v with %d probes", how, after, probes)
	}
	if after, how, _ := fresh().acts(dead, 80*time.Millisecond, time.Minute); how != leavePath || after < 2*time.Second || after > 2300*time.Millisecond {
		t.Errorf("a dead path: %d after %v", how, after)
	}
}

func TestAPathThatDiesDuringASilenceIsFound(t *testing.T) {
	h := flow(every(4*time.Second, 5)...)
	h.probed, h.verdict = h.heard.Add(4*time.Second), live // longer than any before
	h.verdict = live
	after, how, _ := h.acts(dead, 60*time.Millisecond, time.Minute)
	if how != leaveServer && how != leavePath || after > 10*time.Second {
		t.Errorf("%d after %v", how, after)
	}
}

func TestNothingIsDoneThatTheKernelHasNotConfirmed(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	for quiet := time.Duration(0); quiet < time.Second; quiet += tick {
		if a := h.judge(h.heard.Add(quiet), least, 0); a != wait && a != confirm {
			t.Fatalf("%d after %v", a, quiet)
		}
	}
}

func TestAPauseIsForgotten(t *testing.T) {
	h := flow(append(append(every(25*time.Millisecond, 20), 3*time.Second), every(25*time.Millisecond, 3000)...)...)
	if got := h.patience(least, 0); got > 250*time.Millisecond {
		t.Errorf("left after %v, 75 s after a long pause", got)
	}
}

func TestOnlyFalseAlarmsMakePatient(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	before, now := h.suspect(least, 0), h.heard
	h.alarmed(now, now.Add(-300*time.Millisecond), false)
	if got := h.suspect(least, 0); got != before {
		t.Errorf("suspected after %v once an alarm was right", got)
	}
	h.alarmed(now, now.Add(-300*time.Millisecond), true)
	if got := h.suspect(least, 0); got < 2*before {
		t.Errorf("suspected after %v again", got)
	}
}

func TestVerdicts(t *testing.T) {
	expired, cancel := context.WithTimeout(context.Background(), -1)
	defer cancel()
	ended, end := context.WithCancel(context.Background())
	end()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want verdict
	}{
		{context.Background(), nil, live},
		{context.Background(), fmt.Errorf("connect: %w", syscall.ECONNREFUSED), live},
		{context.Background(), fmt.Errorf("connect: %w", syscall.EHOSTUNREACH), dead},
		{context.Background(), fmt.Errorf("connect: %w", syscall.ENETUNREACH), dead},
		{context.Background(), fmt.Errorf("bind: %w", syscall.EPERM), unknown},
		{expired, errors.New("no answer"), dead},
		{ended, errors.New("given up"), unknown},
	} {
		if got := verdictOf(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %d", c.err, got)
		}
	}
}

// However seldom a long silence is looked at, it is looked at when it is due.
func TestASilenceIsLookedAtWhenItIsDue(t *testing.T) {
	for _, trips := range []time.Duration{10 * time.Millisecond, 60 * time.Millisecond} {
		for _, last := range []time.Duration{400, 600, 900} { // the longest pause before, in ms
			h := flow(append(every(25*time.Millisecond, 10), last*time.Millisecond, 25*time.Millisecond)...)
			due := h.patience(least, trips)
			after, how, _ := h.actsWhen(live, trips, time.Minute, func(now time.Time) time.Duration { return h.pause(now, least, trips) })
			if how != leaveServer || after < due || after > due+5*time.Millisecond {
				t.Errorf("after pauses of %d ms it is left after %v, which was due after %v", last, after, due)
			}
		}
	}
}
