package reason

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Each is told apart by its code, and by whoever reads it.
func TestReasons(t *testing.T) {
	texts := map[string]bool{"": true}
	for why := Code(1); int(why) < len(reasons); why++ {
		places := strings.Count(reasons[why].text, "%s")
		sent := why.With("a detail", "b detail", "c detail", "d detail")
		got, err := Parse(sent.Encode())
		if err != nil || got != sent {
			t.Fatalf("%+v has become %+v, %v", sent, got, err)
		}
		text := why.With([]any{"a detail", "b detail", "c detail", "d detail"}[:places]...).Error()
		if texts[text] || strings.ContainsAny(text, "%\x00") || strings.HasSuffix(text, ".") || strings.HasSuffix(text, " ") {
			t.Errorf("reason %d: %q", why, text)
		}
		texts[text] = true
		if strings.Count(text, " detail") != places {
			t.Errorf("reason %d: %q", why, text)
		}
	}
	unknown := Code(len(reasons)).Alone()
	if unknown.Error() == "" || unknown.Retry() != RetryNo || (Reason{}).Error() != "" || (Reason{}).Err() != nil {
		t.Errorf("%q, %q", unknown.Error(), Reason{}.Error())
	}
}

func TestAReasonIsItsCode(t *testing.T) {
	err := fmt.Errorf("not moved: %w", HandshakeFor.With("it took its time"))
	if !errors.Is(err, HandshakeFor) || errors.Is(err, Handshake) || !errors.Is(fmt.Errorf("%w", Closed), Closed) {
		t.Error(err)
	}
	if text := HandshakeFor.With().Error(); strings.Contains(text, "%") {
		t.Errorf("%q", text)
	}
}
