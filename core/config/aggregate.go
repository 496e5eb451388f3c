// The section [aggregate]: downloads that several networks feed together.
package config

import (
	"fmt"
	"os"
)

// Aggregate says when several networks feed one download together.
type Aggregate struct {
	Enabled Together `json:"enabled"`
	// Metered says whether a metered network takes part.
	Metered MeteredUse `json:"metered"`
	// Connections is how many are made over each network, 1 to MaxConnections.
	Connections int `json:"connections"`
}

// MaxConnections bounds Aggregate.Connections.
const MaxConnections = 4

// Together is when a download is fed by several networks.
type Together string

const (
	// TogetherNever: where a person asks for it.
	TogetherNever Together = "never"
	// TogetherAuto: where it pays.
	TogetherAuto Together = "auto"
	// TogetherAlways: where it is possible.
	TogetherAlways Together = "always"
)

// MeteredUse is what a metered network is used for.
type MeteredUse string

const (
	// MeteredNever: nothing.
	MeteredNever MeteredUse = "never"
	// MeteredNeed: what the others leave missing.
	MeteredNeed MeteredUse = "need"
)

// EnvAggregate is what midstream --aggregate sets, to a value of aggregate.enabled, which it stands for.
const EnvAggregate = "MIDSTREAM_AGGREGATE"

func defaultAggregate() Aggregate {
	return Aggregate{Enabled: TogetherNever, Metered: MeteredNever, Connections: 1}
}

func (d *decoder) aggregate(p path, value any, a *Aggregate) {
	d.table(p, value, keys{
		"enabled": func(p path, v any) {
			a.Enabled = choice(d, p, v, "no choice here", TogetherNever, TogetherAuto, TogetherAlways)
		},
		"metered": func(p path, v any) { a.Metered = choice(d, p, v, "no choice here", MeteredNever, MeteredNeed) },
		"connections": func(p path, v any) {
			n := d.number(p, v, 1, MaxConnections, "1, 2, 3 or 4")
			if a.Connections = int(n); float64(a.Connections) != n {
				d.fail(p, "it is not a whole number", "write 1, 2, 3 or 4")
			}
		},
	})
}

// When is Enabled, or what the environment has instead.
func (a Aggregate) When() Together {
	switch t := Together(os.Getenv(EnvAggregate)); t {
	case TogetherNever, TogetherAuto, TogetherAlways:
		return t
	}
	return a.Enabled
}

// String writes the section as TOML.
func (a Aggregate) String() string {
	return fmt.Sprintf("[aggregate]\nenabled = %q\nmetered = %q\nconnections = %d\n", string(a.Enabled), string(a.Metered), a.Connections)
}
