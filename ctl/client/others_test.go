package client

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"midstream/core/control"
)

func TestAnotherUsersProcessSpeaksForItselfOnly(t *testing.T) {
	own := os.Getpid()
	pid := strconv.Itoa(own)
	self, other := pid+"-1", strconv.Itoa(own+1)+"-1"
	theirs := Process{PID: own, UID: os.Geteuid() + 1}
	mine := Process{PID: own, UID: os.Geteuid()}
	sessions := `[{"id":"` + self + `","pid":` + pid + `},{"id":"` + other + `","pid":1},{"id":"` + self + `","pid":1},{"id":"","pid":0}]`
	results := `{"streams":[{"id":"` + other + `","ok":true},{"id":"` + self + `","ok":true},{"ok":true}]}`
	for _, test := range []struct {
		method, answer string
		left           int
	}{
		{control.MethodSessions, sessions, 1}, {control.MethodMigrate, results, 1}, {control.MethodUse, results, 1},
		{control.MethodRelease, results, 1}, {control.MethodHold, results, 1}, {control.MethodAggregate, results, 1}, {control.MethodSessions, "null", 0},
	} {
		count := func(p Process) int {
			var all []json.RawMessage
			var moved struct{ Streams []json.RawMessage }
			text := p.believed(test.method, json.RawMessage(test.answer))
			if json.Unmarshal(text, &all) != nil && json.Unmarshal(text, &moved) != nil {
				t.Errorf("%s: %s", test.method, text)
			}
			return len(all) + len(moved.Streams)
		}
		if n := count(theirs); n != test.left {
			t.Errorf("%s: %d of another user's are left", test.method, n)
		}
		if n := count(mine); test.left > 0 && n < 3 {
			t.Errorf("%s: %d of one's own are left", test.method, n)
		}
	}
	for text, want := range map[string]bool{
		`{"session":"` + self + `","pid":1}`: true, `{"session":"` + other + `"}`: false, `{"pid":1}`: false, `{"pid":` + pid + `}`: true, `[]`: false,
	} {
		if theirs.hasEvent(json.RawMessage(text)) != want || !mine.hasEvent(json.RawMessage(text)) {
			t.Errorf("%s: not %v", text, want)
		}
	}
}

func TestASocketUnderAnothersNumberIsNone(t *testing.T) {
	dir := t.TempDir()
	for _, pid := range []int{1, os.Getpid()} {
		l, err := control.Listen(dir, pid)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if all, err := list(dir, os.Geteuid()); len(all) != 2 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := list(dir, os.Geteuid()+1); len(all) != 0 || err != nil {
		t.Errorf("of another user: %v, %v", all, err)
	}
}
