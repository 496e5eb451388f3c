package resume

import (
	"errors"
	"testing"

	"midstream/core/elsewhere"
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
		if err := (&HTTP{}).Status(answer, Destination{Interface: "wwan0"}); errors.As(err, &no) != refused {
			t.Errorf("%d: %v", answer.Status, err)
		}
	}
}

// What somebody else's server has says nothing of the network that leads to it.
func TestAPageOfAMirrorIsNoLoginPage(t *testing.T) {
	for _, text := range []string{"HTTP/1.1 511 Network Authentication Required\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n"} {
		for url, want := range map[string]bool{"": true, "http://mirror.example/film": false} {
			answer, err := http1.ParseResponse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			captive := false
			h := asks(t, 100_000, 0)
			h.Captive = func(string) { captive = true }
			r := &Rest{To: Destination{Interface: "wwan0", Elsewhere: elsewhere.Place{URL: url}}}
			r.Answer = answer
			r.Framing, _ = answer.Framing("GET")
			_, err = h.place(r, 0)
			var no *refusal.Refusal
			if !errors.As(err, &no) || captive != want {
				t.Errorf("%q at %q: captive %t, %v", text, url, captive, err)
			}
		}
	}
}
