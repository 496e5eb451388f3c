package guard

import (
	"strings"
	"testing"
)

func TestAPanicIsReportedAndEndsNothingElse(t *testing.T) {
	type report struct {
		value any
		stack string
	}
	reports := make(chan report, 1)
	OnPanic(func(value any, stack []byte) { reports <- report{value, string(stack)} })
	Go(func() {
		var m map[string]int
		m["x"] = 1
	})
	got := <-reports
	if err, ok := got.value.(error); !ok || !strings.Contains(err.Error(), "nil map") {
		t.Errorf("reported %v", got.value)
	}
	if !strings.Contains(got.stack, "guard_test.go") {
		t.Errorf("the stack does not say where it happened:\n%s", got.stack)
	}
}

func TestWithoutAPanicNothingIsReported(t *testing.T) {
	OnPanic(func(value any, stack []byte) { t.Errorf("reported %v", value) })
	done := make(chan struct{})
	Go(func() { close(done) })
	<-done
}
