// What processes have received before.
package client

import (
	"bytes"
	"fmt"

	"midstream/core/control"
	"midstream/core/display"
)

// Objects says of each process among the sessions how many objects it has received, if more than one, and which was the last; all: and
// those before it that are known, each in a line of its own.
func Objects(list []control.Session, all bool) []byte {
	var b bytes.Buffer
	seen := map[int]bool{}
	for _, s := range list {
		o := s.Objects
		if o == nil || o.Count < 2 || seen[s.PID] {
			continue
		}
		seen[s.PID] = true
		fmt.Fprintf(&b, "process %d has received %d objects", s.PID, o.Count)
		for i, each := range o.Last {
			if i == 0 || all {
				fmt.Fprintf(&b, "%s%s (%s)", [2]string{", the last ", "\n  before "}[min(i, 1)], display.Line(each.URL), display.Size(each.Octets))
			}
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
