// How many processors the core has.
package relay

import (
	"runtime"
	"sync"
)

// The core starts with one processor (cgo/build.sh): a second thread of Go's would have nothing to do but to look for work, and
// that costs the program more than all else of the core in an undisturbed download. A relay is not to keep the others, nor the
// controller, waiting.
var all sync.Once

// spread lets Go use all processors from the first pair of a process on.
func spread() {
	all.Do(func() { runtime.GOMAXPROCS(runtime.NumCPU()) })
}
