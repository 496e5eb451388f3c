package wire

import (
	"testing"
	"time"
)

func TestFramesLeaveAtTheRateAndAfterTheDelay(t *testing.T) {
	m := newMeter(Shape{Rate: 12_000_000, Delay: 10 * time.Millisecond})
	for i := 1; i <= 5; i++ {
		at, ok := m.admit(0, 1500)
		want := time.Duration(i)*time.Millisecond + 10*time.Millisecond
		if !ok || at != want {
			t.Fatalf("frame %d leaves at %v (%v), want %v", i, at, ok, want)
		}
	}
	if at, _ := m.admit(time.Second, 1500); at != time.Second+11*time.Millisecond {
		t.Errorf("a frame after a pause leaves at %v, want 1.011s", at)
	}
}

func TestFullQueueDropsAndDrains(t *testing.T) {
	m := newMeter(Shape{Rate: 12_000_000, Queue: 3 * time.Millisecond})
	carried := 0
	for range 10 {
		if _, ok := m.admit(0, 1500); ok {
			carried++
		}
	}
	if carried != 4 {
		t.Errorf("%d frames of 1 ms fitted a queue of 3 ms and the one being sent, want 4", carried)
	}
	if _, ok := m.admit(2*time.Millisecond, 1500); !ok {
		t.Error("the queue did not drain")
	}
}

func TestUnshapedLinkNeitherDelaysNorLoses(t *testing.T) {
	m := newMeter(Shape{})
	if at, ok := m.admit(7, 1500); at != 7 || !ok {
		t.Errorf("leaves at %v (%v), want 7ns", at, ok)
	}
}

func TestLossesRepeatWithTheSeed(t *testing.T) {
	run := func() (lost int) {
		m := newMeter(Shape{Loss: 0.1, Seed: 9})
		for range 10000 {
			if _, ok := m.admit(0, 60); !ok {
				lost++
			}
		}
		return
	}
	first, second := run(), run()
	if first != second || first < 800 || first > 1200 {
		t.Errorf("lost %d, then %d of 10000 at 10 %%", first, second)
	}
}
