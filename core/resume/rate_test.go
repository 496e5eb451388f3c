package resume

import (
	"testing"
	"time"
)

func TestARateIsNeverNegative(t *testing.T) {
	e := &Exchange{Begun: time.Now()}
	if got := e.Rate(0, -5000, time.Second); got != 0 {
		t.Errorf("%v octets a second", got)
	}
}
