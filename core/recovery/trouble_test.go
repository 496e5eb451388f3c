package recovery

import (
	"testing"
	"time"
)

func TestWhatBringsNextToNothingDoesNotRenewThePatience(t *testing.T) {
	var x trouble
	now := time.Unix(1000, 0)
	step := func(at int64) time.Duration {
		now = now.Add(time.Second)
		pause := x.again(now, 1, at)
		x.ended = now
		return pause
	}
	step(100_000)
	begun := x.hold(now)
	var last time.Duration
	for at := range int64(8) {
		last = step(100_000 + at)
		if x.hold(now) != begun {
			t.Fatalf("%d octets have renewed it", at)
		}
	}
	if last != lastPause {
		t.Errorf("the pause is %v", last)
	}
	if pause := step(100_007 + fruitful); pause != 0 || x.hold(now) == begun {
		t.Errorf("after a fruitful one: a pause of %v, held since %v", pause, x.held)
	}
	begun = x.held
	now = now.Add(fruitfulFor)
	if step(100_008 + fruitful); x.hold(now) == begun {
		t.Error("a slow stream that went on for long")
	}
	if x.again(now, 2, 100_008+fruitful); !x.held.IsZero() {
		t.Error("another exchange")
	}
}

func TestOnlyWhatHadNotBeenReachedRenewsThePatience(t *testing.T) {
	var n nearer
	if !n.when().IsZero() {
		t.Error(n.when())
	}
	n.reached(100)
	first := n.when()
	n.reached(50) // by another attempt
	n.reached(100)
	if n.when() != first || first.IsZero() {
		t.Errorf("%v, then %v", first, n.when())
	}
	n.reached(101)
	if n.when() == first {
		t.Error("nothing is renewed")
	}
}
