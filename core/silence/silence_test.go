// What a silence calls for, by the flow before it and by what a probe has found.
package silence

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

const least = 200 * time.Millisecond

// flow makes the Flow of a stream whose octets came at these intervals.
func flow(intervals ...time.Duration) *Flow {
	now := time.Unix(1000, 0)
	h := &Flow{Begun: now, Heard: now, Weighed: now}
	for _, d := range intervals {
		now = now.Add(d)
		if h.Changes > 0 {
			h.Learn(now, d)
		}
		h.Hears(now)
		h.Changes++
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
func (h *Flow) acts(path Verdict, trips, limit time.Duration) (after time.Duration, how Action, probes int) {
	return h.actsWhen(path, trips, limit, func(time.Time) time.Duration { return Tick })
}

func (h *Flow) actsWhen(path Verdict, trips, limit time.Duration, pause func(time.Time) time.Duration) (after time.Duration, how Action, probes int) {
	for now := h.Heard; now.Sub(h.Heard) < limit; now = now.Add(pause(now)) {
		if h.Probing && now.Sub(h.Probed) >= h.AnswerWithin(trips) {
			h.Probing, h.Verdict = false, path
		}
		switch a := h.Judge(now, least, trips); a {
		case Confirm:
			h.Asked, h.Confirmed = now, now.Add(1)
			if again := h.Judge(now.Add(1), least, trips); again == LeaveServer || again == LeavePath {
				return now.Sub(h.Heard), again, probes
			}
		case Look:
			h.Probed, h.Probing = now, path != Live
			if path == Live {
				h.Verdict = Live
			}
			probes++
		case LeaveServer, LeavePath:
			return now.Sub(h.Heard), a, probes
		}
	}
	return 0, Wait, probes
}

func TestWhenASilentStreamIsLeft(t *testing.T) {
	const ms = time.Millisecond
	steady := every(25*ms, 100)
	for _, c := range []struct {
		name       string
		h          *Flow
		path       Verdict
		trips      time.Duration
		how        Action
		least, top time.Duration
	}{
		{"a Dead path under a steady flow", flow(steady...), Dead, 60 * ms, LeavePath, 200 * ms, 230 * ms},
		{"a Dead path in the first half second", flow(every(25*ms, 4)...), Dead, 80 * ms, LeavePath, 200 * ms, 250 * ms},
		{"a Dead path before the first octet of content", flow(), Dead, 80 * ms, LeavePath, 200 * ms, 250 * ms},
		{"a Dead path with a long round trip", flow(steady...), Dead, time.Second, LeavePath, time.Second, 1600 * ms},
		{"a Dead path under bursts", flow(every(time.Second, 5)...), Dead, 60 * ms, LeavePath, 1200 * ms, 1350 * ms},
		{"a silent server after a steady flow", flow(steady...), Live, 60 * ms, LeaveServer, 200 * ms, 230 * ms},
		{"a silent server after congestion", flow(append(steady, append([]time.Duration{190 * ms}, steady...)...)...), Live, 60 * ms, LeaveServer, 200 * ms, 250 * ms},
		{"a silent server in the first second", flow(every(25*ms, 30)...), Live, 60 * ms, LeaveServer, 1100 * ms, 1150 * ms},
		{"a silent server soon after a pause", flow(append(steady, append([]time.Duration{120 * ms}, every(25*ms, 40)...)...)...), Live, 60 * ms, LeaveServer, 1100 * ms, 1150 * ms},
		{"a silent server with bursts each second", flow(every(time.Second, 5)...), Live, 60 * ms, LeaveServer, 2200 * ms, 2300 * ms},
		{"a silent server with bursts each ten seconds", flow(every(10*time.Second, 5)...), Live, 60 * ms, LeaveServer, 22 * time.Second, 23 * time.Second},
		{"a silent server after one Burst", flow(every(25*ms, 6)...), Live, 60 * ms, LeaveServer, 2200 * ms, 2300 * ms},
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
	fresh := func() *Flow { return &Flow{Begun: now, Heard: now, Weighed: now, Waiting: true} }
	if after, how, probes := fresh().acts(Live, 80*time.Millisecond, 10*time.Minute); how != Wait || probes < 2 || probes > 20 {
		t.Errorf("%d after %v with %d probes", how, after, probes)
	}
	if after, how, _ := fresh().acts(Dead, 80*time.Millisecond, time.Minute); how != LeavePath || after < 2*time.Second || after > 2300*time.Millisecond {
		t.Errorf("a Dead path: %d after %v", how, after)
	}
}

func TestAPathThatDiesDuringASilenceIsFound(t *testing.T) {
	h := flow(every(4*time.Second, 5)...)
	h.Probed, h.Verdict = h.Heard.Add(4*time.Second), Live // longer than any before
	h.Verdict = Live
	after, how, _ := h.acts(Dead, 60*time.Millisecond, time.Minute)
	if how != LeaveServer && how != LeavePath || after > 10*time.Second {
		t.Errorf("%d after %v", how, after)
	}
}

func TestNothingIsDoneThatTheKernelHasNotConfirmed(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	for quiet := time.Duration(0); quiet < time.Second; quiet += Tick {
		if a := h.Judge(h.Heard.Add(quiet), least, 0); a != Wait && a != Confirm {
			t.Fatalf("%d after %v", a, quiet)
		}
	}
}

func TestAPauseIsForgotten(t *testing.T) {
	h := flow(append(append(every(25*time.Millisecond, 20), 3*time.Second), every(25*time.Millisecond, 3000)...)...)
	if got := h.Patience(least, 0); got > 250*time.Millisecond {
		t.Errorf("left after %v, 75 s after a long pause", got)
	}
}

func TestOnlyFalseAlarmsMakePatient(t *testing.T) {
	h := flow(every(25*time.Millisecond, 100)...)
	before, now := h.Suspect(least, 0), h.Heard
	h.Alarmed(now, now.Add(-300*time.Millisecond), false)
	if got := h.Suspect(least, 0); got != before {
		t.Errorf("suspected after %v once an alarm was right", got)
	}
	h.Alarmed(now, now.Add(-300*time.Millisecond), true)
	if got := h.Suspect(least, 0); got < 2*before {
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
		want Verdict
	}{
		{context.Background(), nil, Live},
		{context.Background(), fmt.Errorf("connect: %w", syscall.ECONNREFUSED), Live},
		{context.Background(), fmt.Errorf("connect: %w", syscall.EHOSTUNREACH), Dead},
		{context.Background(), fmt.Errorf("connect: %w", syscall.ENETUNREACH), Dead},
		{context.Background(), fmt.Errorf("bind: %w", syscall.EPERM), Unknown},
		{expired, errors.New("no answer"), Dead},
		{ended, errors.New("given up"), Unknown},
	} {
		if got := VerdictOf(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %d", c.err, got)
		}
	}
}

// However seldom a long silence is looked at, it is looked at when it is due.
func TestASilenceIsLookedAtWhenItIsDue(t *testing.T) {
	for _, trips := range []time.Duration{10 * time.Millisecond, 60 * time.Millisecond} {
		for _, last := range []time.Duration{400, 600, 900} { // the longest pause before, in ms
			h := flow(append(every(25*time.Millisecond, 10), last*time.Millisecond, 25*time.Millisecond)...)
			due := h.Patience(least, trips)
			after, how, _ := h.actsWhen(Live, trips, time.Minute, func(now time.Time) time.Duration { return h.Pause(now, least, trips) })
			if how != LeaveServer || after < due || after > due+5*time.Millisecond {
				t.Errorf("after pauses of %d ms it is left after %v, which was due after %v", last, after, due)
			}
		}
	}
}
