package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"midstream/ctl/doctor"
)

func TestDoctor(t *testing.T) {
	isolate(t)
	status, out, _ := ctl("doctor", "--json")
	var f []doctor.Finding
	if err := json.Unmarshal([]byte(out), &f); err != nil || len(f) < 2 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	if _, out, _ := ctl("doctor"); !strings.Contains(out, "problem") {
		t.Error(out)
	}
	if status, out, _ := ctl("doctor", "no-such-program"); status != exitFailed || !strings.Contains(out, "there is no such program") {
		t.Errorf("%d %s", status, out)
	}
	if status, _, errs := ctl("doctor", "--reach", "http://a/b"); status != exitUsage || !strings.Contains(errs, "is no HOST") {
		t.Errorf("%d %s", status, errs)
	}
	for text, want := range map[string]string{"a": "a 0 true", "a:80": "a 80 true", "[::1]:8": "::1 8 true", "::1": "::1 0 true", "a:x": " 0 false"} {
		host, port, ok := hostAndPort(text)
		if got := strings.TrimSpace(strings.Join([]string{host, strconv.Itoa(int(port)), map[bool]string{true: "true", false: "false"}[ok]}, " ")); got != strings.TrimSpace(want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}
