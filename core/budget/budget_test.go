// What may be asked for one exchange, on a clock of its own.
package budget

import (
	"errors"
	"testing"
	"time"

	"midstream/core/reason"
	"midstream/core/refusal"
)

// clocked is a full budget whose clock is moved by hand, and whose chance is always the longest.
func clocked() (*Budget, *time.Time) {
	now := time.Unix(1000, 0)
	return &Budget{now: func() time.Time { return now }, random: func(d time.Duration) time.Duration { return d }}, &now
}

var here, there = Place{"wlan0", "192.0.2.1:80"}, Place{"wwan0", "192.0.2.2:80"}

func TestTenRequestsInAMinuteOverAllPlaces(t *testing.T) {
	b, now := clocked()
	for i := range Size {
		if err := b.ask([]Place{here, there}[i%2], 0, Size); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		*now = now.Add(time.Second)
	}
	if err := b.ask(here, 0, Size); err != ErrSpent || !b.Over(0) {
		t.Errorf("one more: %v", err)
	}
	*now = now.Add(budgetWithin - Size*time.Second)
	if err := b.ask(here, 0, Size); err != nil {
		t.Errorf("once the first is a minute ago: %v", err)
	}
	if err := b.ask(here, 0, Size); err != ErrSpent {
		t.Errorf("and the second is not: %v", err)
	}
}

func TestMigrationsLeaveSomethingForRecoveries(t *testing.T) {
	b, _ := clocked()
	for b.ask(here, 0, Size-reserved) == nil {
	}
	if got := len(b.asked); got != Size-reserved || b.Over(0) {
		t.Errorf("%d requests", got)
	}
}

func TestARefusalIsFollowedByABackOff(t *testing.T) {
	b, now := clocked()
	for i, want := range []time.Duration{firstBackOff, 2 * firstBackOff, 4 * firstBackOff} {
		if err := b.ask(here, 0, Size); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		b.refused(here, reason.Answered.With(503), 0)
		var early *refusal.Refusal
		if err := b.ask(here, 0, Size); !errors.As(err, &early) || early.Until.Sub(*now) != want || early.Why != reason.Answered.With(503) {
			t.Fatalf("after %d refusals: %v", i+1, err)
		}
		if err := b.ask(there, 0, Size); err != nil {
			t.Errorf("another place has to wait as well: %v", err)
		}
		*now = now.Add(want)
	}
	if len(b.asked) != 6 {
		t.Errorf("what was not asked was counted: %d", len(b.asked))
	}
	for range 100 { // never without end
		b.refused(here, reason.Reason{}, 0)
	}
	if got := b.places[here].until.Sub(*now); got != lastBackOff {
		t.Errorf("after a hundred refusals %v", got)
	}
}

// What one server has brought does not make another one wait for less than it has asked for.
func TestWhoHasNamedATimeIsNotAskedBefore(t *testing.T) {
	b, now := clocked()
	b.refused(here, reason.Answered.With(503), 30*time.Second)
	b.refused(there, reason.Answered.With(500), 0)
	b.refused(here, reason.Answered.With(500), 0) // by who was asked at the same time
	b.HandedOver(1000)
	*now = now.Add(time.Second)
	var early *refusal.Refusal
	if err := b.ask(here, 1001, Size); !errors.As(err, &early) || early.Until.Sub(*now) != 29*time.Second {
		t.Errorf("after other content: %v", err)
	}
	if err := b.ask(there, 1001, Size); err != nil {
		t.Errorf("who has named none: %v", err)
	}
	*now = now.Add(29 * time.Second)
	if err := b.ask(here, 1001, Size); err != nil {
		t.Errorf("at its time: %v", err)
	}
	if b.HandedOver(2000); b.ask(there, 2001, Size) != nil || len(b.places) != 0 {
		t.Errorf("what is over is kept: %v", b.places)
	}
}

func TestChanceShortensABackOffByHalfAtMost(t *testing.T) {
	b, now := clocked()
	b.random = func(time.Duration) time.Duration { return 0 }
	b.refused(here, reason.Reason{}, 0)
	if got := b.places[here].until.Sub(*now); got != firstBackOff/2 {
		t.Errorf("%v", got)
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	b, now := clocked()
	b.refused(here, reason.Reason{}, 30*time.Second)
	*now = now.Add(30*time.Second - 1)
	if b.ask(here, 0, Size) == nil {
		t.Error("asked too early")
	}
	*now = now.Add(1)
	if err := b.ask(here, 0, Size); err != nil {
		t.Error(err)
	}
	b.refused(here, reason.Reason{}, 1<<62)
	if got := b.places[here].until.Sub(*now); got != longestAfter {
		t.Errorf("%v", got)
	}
}

func TestContentGivesTheBudgetBack(t *testing.T) {
	b, _ := clocked()
	for range Size {
		b.ask(here, 5000, Size)
	}
	b.refused(there, reason.Reason{}, 0)
	if !b.Over(6000) {
		t.Error("content that no answer has brought")
	}
	b.HandedOver(7000)
	if !b.Over(7000) {
		t.Error("an answer that has brought nothing")
	}
	if b.Over(7001) {
		t.Error("spent although content has come")
	}
	if err := b.ask(there, 7001, Size); err != nil {
		t.Errorf("what was refused before counts: %v", err)
	}
}

func TestARequestWithoutAnAnswerIsRepeatedTwice(t *testing.T) {
	b, _ := clocked()
	for range maxRepeats {
		if err := b.Repeat(); err != nil {
			t.Fatal(err)
		}
	}
	if b.Repeat() != ErrRepeated {
		t.Error("a third time")
	}
}

func TestWhatCountsAsARefusal(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"a refusal", refusal.New(reason.OctetsDiffer.Alone()), 1},
		{"a refusal for a while", &refusal.Refusal{Passing: true}, 1},
		{"a wish for more", &refusal.Refusal{More: true}, 0},
		{"no request at all", ErrSpent, 0},
		{"called off", &refusal.Refusal{Ours: true}, 0},
		{"anything else, as a redirect", errors.New("the content is elsewhere"), 0},
		{"an answer", nil, 0},
	} {
		b, _ := clocked()
		if err := (Permit{b, here}).Refused(c.err); err != c.err {
			t.Errorf("%s: returned %v", c.name, err)
		}
		if got := b.places[here].refusals; got != c.want {
			t.Errorf("%s: %d refusals", c.name, got)
		}
	}
}
