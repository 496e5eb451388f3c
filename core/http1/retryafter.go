package http1

import (
	"strconv"
	"time"
)

// RetryAfter returns how long after now the server wants not to be asked again, by its field Retry-After (RFC 9110 §10.2.3), in
// seconds or as a date; 0 where there is none, it is malformed, or it lies in the past.
func (r *Response) RetryAfter(now time.Time) time.Duration {
	value := r.Get("Retry-After")
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, ok := parseDate(value); ok && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
