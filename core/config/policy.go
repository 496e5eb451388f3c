// The sections [policy] and [sessions]: what decides which interface is used, and which programs are left alone.
package config

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"midstream/core/policy"
	"midstream/core/reason"
)

// Policy is what the user wants of the interface manager.
type Policy struct {
	// Prefer are interfaces in the order of preference; those it does not name come after them.
	Prefer []string
	// Providers are preferred providers, in order.
	Providers []string
	// Dwell is the least time between two changes for better, 0 to MaxDwell; an interface that has come back
	// has to stay as long before it is used for better.
	Dwell time.Duration
	// InNeed allows interfaces that are avoided or never to be used when there is no other.
	InNeed bool
	// LeaveTunnel allows what the kernel would route into a tunnel to be carried past it, and past the kernel's rules for
	// this program; without it, only over the interfaces in Prefer.
	LeaveTunnel bool
	// Rules are evaluated in order; the first that holds and has a use decides.
	Rules []Rule
	// Servers say which addresses of a host are preferred.
	Servers []Server
	// Performance makes higher performance, as measured, a reason to move; it always counts where an interface
	// has to be chosen anyway, and where a hint has given it.
	Performance bool
}

// The default of Policy.Dwell, and its upper bound.
const (
	DefaultDwell = 10 * time.Second
	MaxDwell     = 24 * time.Hour
)

// Rule has either Use or Avoid set.
type Rule struct {
	When  *policy.Condition `json:"when"`
	Use   string            `json:"use,omitempty"`
	Avoid string            `json:"avoid,omitempty"`
}

// Server says which addresses are preferred for hosts.
type Server struct {
	Host   string         `json:"host"`   // a pattern (glob(7)) of the name or address, lower case
	Prefer []netip.Prefix `json:"prefer"` // in order
}

// Sessions says which sessions are left alone. A session is moved if Include is empty or one of it matches, and
// none of Exclude does.
type Sessions struct {
	Include []Criterion `json:"include"`
	Exclude []Criterion `json:"exclude"`
}

// Criterion matches a session if everything that it sets does.
type Criterion struct {
	Command string `json:"command,omitempty"` // a pattern (glob(7)) of the program's name
	Host    string `json:"host,omitempty"`    // likewise of the name or address, lower case
	Port    uint16 `json:"port,omitempty"`
	Smaller int64  `json:"smaller,omitempty"` // content of fewer octets
	Larger  int64  `json:"larger,omitempty"`  // content of more octets
}

// Excluded says which criterion leaves a session alone, "" if none does. command is the command line, length -1
// where unknown.
func (s Sessions) Excluded(command, host string, port uint16, length int64) reason.Reason {
	program, _, _ := strings.Cut(command, " ")
	program = filepath.Base(program)
	for i := range s.Exclude {
		if s.Exclude[i].Matches(program, host, port, length) {
			return reason.Excluded.With(s.Exclude[i])
		}
	}
	for i := range s.Include {
		if s.Include[i].Matches(program, host, port, length) {
			return reason.Reason{}
		}
	}
	if len(s.Include) > 0 {
		return reason.NotIncluded.Alone()
	}
	return reason.Reason{}
}

// String writes the criterion as one line of TOML.
func (c Criterion) String() string {
	var set []string
	if c.Command != "" {
		set = append(set, "command = "+strconv.Quote(c.Command))
	}
	if c.Host != "" {
		set = append(set, "host = "+strconv.Quote(c.Host))
	}
	if c.Port != 0 {
		set = append(set, "port = "+strconv.Itoa(int(c.Port)))
	}
	if c.Smaller != 0 {
		set = append(set, "smaller = "+strconv.FormatInt(c.Smaller, 10))
	}
	if c.Larger != 0 {
		set = append(set, "larger = "+strconv.FormatInt(c.Larger, 10))
	}
	return strings.Join(set, ", ")
}

// Matches reports whether the criterion applies; program is the name without its folder, length -1 where unknown.
func (c Criterion) Matches(program, host string, port uint16, length int64) bool {
	return (c.Command == "" || policy.Match(c.Command, program)) &&
		(c.Host == "" || policy.Match(c.Host, strings.ToLower(host))) &&
		(c.Port == 0 || c.Port == port) &&
		(c.Smaller == 0 || length >= 0 && length < c.Smaller) &&
		(c.Larger == 0 || length > c.Larger)
}

// MarshalJSON writes the keys as the file has them, the time as text.
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Prefer    []string `json:"prefer"`
		Providers []string `json:"providers"`
		Dwell     string   `json:"dwell"`
		InNeed    bool     `json:"in_need"`
		Leave     bool     `json:"leave_tunnel"`
		Faster    bool     `json:"performance"`
		Rules     []Rule   `json:"rules"`
		Servers   []Server `json:"servers"`
	}{p.Prefer, p.Providers, p.Dwell.String(), p.InNeed, p.LeaveTunnel, p.Performance, p.Rules, p.Servers})
}
