// How fast an exchange's content arrives.
package resume

import "time"

// leastWindow is the shortest time over which a rate is taken. Content comes in bursts: over a shorter time, a single
// read makes a rate that no network has, and a look-ahead that the old connection needs seconds to reach.
const leastWindow = 20 * time.Millisecond

// Rate returns how many octets a second the program is being handed, from those of the last while, or else from all that
// it has received since the head of the response.
func (e *Exchange) Rate(received, lately int64, while time.Duration) float64 {
	if while < leastWindow {
		lately, while = received, max(time.Since(e.Begun), leastWindow)
	}
	return float64(max(lately, 0)) / while.Seconds()
}
