package resume

import (
	"errors"
	"testing"

	"midstream/core/http1"
	"midstream/core/refusal"
)

// A redirect is no refusal: nobody has to wait before it is followed.
func TestARedirectIsNoRefusal(t *testing.T) {
	for text, refused := range map[string]bool{
		"HTTP/1.1 503 Service Unavailable\r\n\r\n": true, "HTTP/1.1 407 Proxy\r\n\r\n": true, "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n": false,
	} {
		answer, err := http1.ParseResponse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var no *refusal.Refusal
		if err := (&HTTP{}).Status(answer, "wwan0"); errors.As(err, &no) != refused {
			t.Errorf("%d: %v", answer.Status, err)
		}
	}
}
