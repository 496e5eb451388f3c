package http1

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2015, 10, 21, 7, 28, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		"-1":                            0,
		"1.5":                           0,
		"99999999999999999999":          0,
		"2147483647":                    2147483647 * time.Second,
		"Wed, 21 Oct 2015 07:28:30 GMT": 30 * time.Second,
		"Wed, 21 Oct 2015 07:27:30 GMT": 0,
		"soon":                          0,
	} {
		r, err := ParseResponse([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: " + value + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.RetryAfter(now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
