// How many processors the core has.
package relay

import (
	"runtime"
	"sync/atomic"
)

// The core starts with one processor (cgo/build.sh): a second thread of Go's would have nothing to do but to look for work, and
// that costs the program more than all else of the core in an undisturbed download. Relays are copied side by side.

var pairs atomic.Uint32

// spread lets Go use all processors from the second pair of a process on.
func spread() {
	if pairs.Add(1) == 2 {
		runtime.GOMAXPROCS(runtime.NumCPU())
	}
}
