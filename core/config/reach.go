// Which connections of programs that nothing can be preloaded into are carried by midstream-supervisor.
package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Reach says what of those programs is carried. The launcher hands it to midstream-supervisor.
type Reach struct {
	// Ports are the ports to which connections are carried: numbers from 1 to 65535, and ranges of them, divided by commas, without blanks.
	Ports string `json:"ports"`
}

// reachPorts is what may be for HTTP, as the shim has it: below 1024, other protocols have ports of their own.
const reachPorts = "80,443,1024-65535"

// maxReachPorts is how long the text may be.
const maxReachPorts = 1000

func (d *decoder) reach(p path, value any, r *Reach) {
	d.table(p, value, keys{
		"ports": func(p path, v any) {
			text, ok := d.text(p, v, `ports, as in "80,443,8000-8999"`)
			if !ok {
				return
			}
			text = strings.ReplaceAll(text, " ", "")
			if why := wrongPorts(text); why != "" {
				d.fail(p, why, `write them as in "80,443,8000-8999"`)
				return
			}
			r.Ports = text
		},
	})
}

func wrongPorts(text string) string {
	if len(text) > maxReachPorts {
		return fmt.Sprintf("more than %d octets of ports", maxReachPorts)
	}
	for _, one := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(one, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err != nil || err2 != nil || a == 0 || b < a {
			return fmt.Sprintf(`%q is no port and no range of ports`, one)
		}
	}
	return ""
}

// String is the section as it would stand in a file.
func (r Reach) String() string { return fmt.Sprintf("[reach]\nports = %q\n", r.Ports) }
