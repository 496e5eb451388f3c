package channel

import (
	"strings"
	"testing"
)

// Each is told apart by its code, and by whoever reads it.
func TestReasons(t *testing.T) {
	texts := map[string]bool{"": true}
	for why := Why(1); int(why) < len(reasons); why++ {
		sent := Reason{Why: why, Detail: "a detail"}
		got, err := ParseReason(sent.Encode())
		if err != nil || got != sent {
			t.Fatalf("%+v has become %+v, %v", sent, got, err)
		}
		text := got.Error()
		if texts[text] || strings.Contains(text, "%") || strings.HasSuffix(text, ".") || strings.HasSuffix(text, " ") {
			t.Errorf("reason %d: %q", why, text)
		}
		texts[text] = true
		if strings.Contains(reasons[why].text, "%s") != strings.Contains(text, "a detail") {
			t.Errorf("reason %d: %q", why, text)
		}
	}
	unknown := Reason{Why: Why(len(reasons))}
	if unknown.Error() == "" || unknown.Retry() != RetryNo || (Reason{}).Error() != "" {
		t.Errorf("%q, %q", unknown.Error(), Reason{}.Error())
	}
}
