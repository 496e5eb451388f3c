// How fast an exchange's content arrives.
package controller

import "time"

// leastWindow is the shortest time over which a rate is taken. Content comes in bursts: over a shorter time, a single
// read makes a rate that no network has, and a look-ahead that the old connection needs seconds to reach.
const leastWindow = 20 * time.Millisecond

// rate returns how many octets a second the program is being handed, from those of the last while, or else from all that
// it has received since the head of the response.
func (e *exchange) rate(received, lately int64, while time.Duration) float64 {
	if while < leastWindow {
		lately, while = received, max(time.Since(e.begun), leastWindow)
	}
	return float64(max(lately, 0)) / while.Seconds()
}
