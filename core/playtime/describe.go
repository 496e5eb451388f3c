// How a film stands, as it is shown.
package playtime

import (
	"math"
	"time"

	"midstream/core/control"
	"midstream/core/http1"
)

// Of says whether the response may be one of a film at url.
func Of(r *http1.Response, url string) bool {
	return r != nil && r.Status/100 == 2 && Possible(r.Get("Content-Type"), url)
}

// fullAfter is for how long a program has to leave octets unread to have enough.
const fullAfter = 2 * time.Second

// Describe returns how the film at url stands, nil where that is not known; unread is for how long octets have waited for the program.
func (c *Clock) Describe(url string, unread time.Duration) *control.Play {
	now := time.Now()
	if unread > fullAfter {
		c.Full(url, now)
	}
	is, ok := c.Play(url, now)
	if !ok {
		return nil
	}
	out, buffer := &control.Play{HandedS: tenths(is.Handed)}, tenths(is.Buffer)
	if !is.Full {
		out.BufferS = &buffer
	}
	return out
}

func tenths(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }
