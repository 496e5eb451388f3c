// The section [failover]: what happens when a network or a server fails.
package config

import (
	"encoding/json"
	"fmt"
	"time"
)

// Failover says what happens when a network or a server fails during a download.
type Failover struct {
	// Enabled lets failures become migrations; otherwise the program sees them as they come.
	Enabled bool
	// Patience is how long a program whose connection has ended is held while no network helps, MinPatience to
	// MaxPatience. Then it sees how its connection ended.
	Patience time.Duration
	// Standby says whether a connection over another interface is kept ready while a download runs.
	Standby Standby
	// SuspectAfter is how long a steadily flowing download may be silent before its path is suspected, MinSuspectAfter to
	// MaxSuspectAfter. One that has pauses of its own is given longer ones. Before the answer has begun, the server is
	// looked for after four times as long, and the request is not made again unless the path is dead.
	SuspectAfter time.Duration
}

// The bounds of Failover's values, inclusive.
const (
	MinPatience     = time.Second
	MaxPatience     = 24 * time.Hour
	MinSuspectAfter = 50 * time.Millisecond
	MaxSuspectAfter = 10 * time.Minute
)

// Standby is when a connection is kept ready.
type Standby string

const (
	// StandbyAuto keeps one over an interface that is not metered.
	StandbyAuto Standby = "auto"
	// StandbyAlways keeps one over any interface.
	StandbyAlways Standby = "always"
	// StandbyNever keeps none.
	StandbyNever Standby = "never"
)

func defaultFailover() Failover {
	return Failover{Enabled: true, Patience: time.Minute, Standby: StandbyAuto, SuspectAfter: 200 * time.Millisecond}
}

func (d *decoder) failover(p path, value any, f *Failover) {
	d.table(p, value, keys{
		"enabled":  func(p path, v any) { f.Enabled = d.boolean(p, v) },
		"patience": func(p path, v any) { f.Patience = d.duration(p, v, MinPatience, MaxPatience, `"1s" to "24h"`) },
		"standby": func(p path, v any) {
			f.Standby = choice(d, p, v, "no choice here", StandbyAuto, StandbyAlways, StandbyNever)
		},
		"suspect_after": func(p path, v any) {
			f.SuspectAfter = d.duration(p, v, MinSuspectAfter, MaxSuspectAfter, `"50ms" to "10m"`)
		},
	})
}

// String writes the section as TOML.
func (f Failover) String() string {
	return fmt.Sprintf("[failover]\nenabled = %t\npatience = %q\nstandby = %q\nsuspect_after = %q\n",
		f.Enabled, f.Patience, string(f.Standby), f.SuspectAfter)
}

// MarshalJSON writes the keys as the file has them, durations as text.
func (f Failover) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Enabled      bool    `json:"enabled"`
		Patience     string  `json:"patience"`
		Standby      Standby `json:"standby"`
		SuspectAfter string  `json:"suspect_after"`
	}{f.Enabled, f.Patience.String(), f.Standby, f.SuspectAfter.String()})
}
