// Package manager is the interface manager: it knows the state of every network interface, the user's policy and
// what others have said, and decides which interface a stream is to use.
//
// There is one design and two places to run it. Engine is the manager itself; it is fed with facts and asked for
// decisions, and does nothing on its own. The core of every process has one; midstreamd has one for all processes
// that have connected to it. While a process is connected, the daemon decides and the process's own engine only
// answers Order from the same facts; when the daemon is gone, it decides again.
//
// What decides, in this order (rank.go has the list): a person's use; the policy's rules; then, between any two
// interfaces, the first of these in which they differ: a captive portal, congestion that a hint tells of, a hint that
// prefers one, the policy's prefer and providers, metered or not, cost, performance, the kernel's route metric. Without
// a configuration, streams are moved for better only where one of two interfaces is captive, congested or preferred by a
// hint, metered, or dearer than the other, and for performance where a hint promises twice as much;
// [policy] performance = true does so by what has been measured as well. The kernel's metric never moves a stream.
//
// While an interface works, nothing is moved from it to one that is metered, where it is not, or dearer: only the
// configuration's prefer, providers and rules, a hint that prefers it, or a person may say so. A stream that a person has
// moved stays until its network fails, unless the configuration avoids it there. Which interfaces lead past a tunnel is for the process to say.
//
// A change for better waits until the stream has been where it is for dwell, and the other interface has been usable
// for dwell since it came back, twice as long for each further loss in the last two minutes; and it has to pay: at
// least two seconds of the content have to be left. Before it, the process is asked what the stream needs now, and where it
// can go (ask.go). A person's use, and leaving what policy forbids, wait for nothing.
package manager

import (
	"net/netip"
	"time"

	"midstream/core/netif"
)

// Manager is what those who carry out migrations need of the interface manager. All methods are safe for
// concurrent use and return at once.
type Manager interface {
	// Order returns the interfaces that may carry the stream now, best first; the one it is on is among them if
	// it may. Interfaces that policy avoids are left out unless the policy's in_need is set: then they come last.
	// For a stream over a loopback interface there are none.
	Order(s Stream) []string
	// Interface returns what is known of an interface; ok is false if there is none of that name.
	Interface(name string) (i Interface, ok bool)
	// Interfaces returns what is known of all of them, best first. Neither the list nor what it points to
	// is ever changed.
	Interfaces() []Interface
	// Captive is to be called when a captive portal has answered on the interface instead of the server that
	// was asked for, and with false once a server has answered there. It holds for the addresses the interface
	// has now.
	Captive(name string, captive bool)
}

// Stream is what the manager is told of a stream: what it needs, and what it could do with another interface.
type Stream struct {
	ID        string   `json:"id"`
	PID       int      `json:"pid"`
	Command   string   `json:"command"`
	URL       string   `json:"url"`
	Host      string   `json:"host"`
	Port      uint16   `json:"port"`
	Interface string   `json:"interface"`
	Server    string   `json:"server"`
	Active    bool     `json:"active"`           // an exchange is under way
	Length    int64    `json:"length"`           // octets of content, -1 where unknown
	Received  int64    `json:"received"`         // octets of content so far
	Rate      float64  `json:"rate"`             // of arrival, bit/s; 0 where unknown
	Buffer    *float64 `json:"buffer,omitempty"` // s of play time that a player has still to play; nil where unknown
	Movable   bool     `json:"movable"`
	Why       string   `json:"why"`            // why it is not movable
	Held      bool     `json:"held,omitempty"` // a person asked for the interface that it is on
	// Moved is when it changed its interface last, zero if never.
	Moved time.Time `json:"moved"`
}

// Loopback reports whether the stream never leaves the host.
func (s Stream) Loopback() bool {
	server, err := netip.ParseAddrPort(s.Server)
	return netif.InHost(s.Interface) || err == nil && server.Addr().Unmap().IsLoopback()
}

// Reported is what a process tells the daemon.
type Reported struct {
	PID     int             `json:"pid"`
	Use     string          `json:"use"` // what Engine.Own gives
	Streams []Stream        `json:"streams"`
	Samples []Sample        `json:"samples"` // in the same order
	Captive map[string]bool `json:"captive,omitempty"`
}

// Remaining returns the octets of content still to come, -1 where unknown.
func (s Stream) Remaining() int64 {
	if s.Length < 0 {
		return -1
	}
	return max(s.Length-s.Received, 0)
}
