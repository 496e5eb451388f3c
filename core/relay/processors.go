// How many processors the core has.
package relay

import (
	"runtime"
	"sync"
)

// The core starts with one processor (cgo/build.sh): a second thread of Go's would have nothing to do but to look for work, and
// that costs the program more than all else of the core in an undisturbed download. A relay is not to keep the others, nor the
// controller, waiting.
var more sync.Once

// So many at most: Go may want a thread for each, and those have been made before (shim/process/threads.c).
const mostProcessors = 4

// spread lets Go use more processors from the first pair of a process on.
func spread() {
	more.Do(func() { runtime.GOMAXPROCS(min(runtime.NumCPU(), mostProcessors)) })
}
