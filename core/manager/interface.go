// What is known of one network interface.
package manager

import (
	"net/netip"
	"time"

	"midstream/core/netif"
)

// The kinds of an Interface.
const (
	KindEthernet = "ethernet"
	KindWiFi     = "wifi"
	KindWWAN     = "wwan"
	KindLoopback = "loopback"
	KindTunnel   = "tunnel"
	KindOther    = "other"
)

// Interface is a snapshot: it is never changed.
type Interface struct {
	Name      string           `json:"name"`
	Index     int              `json:"index"`
	Kind      string           `json:"kind"`
	Up        bool             `json:"up"`
	Carrier   bool             `json:"carrier"`
	Addresses []netip.Addr     `json:"addresses"` // of global scope
	Routes    []Route          `json:"routes"`    // default routes only
	Resolvers []netip.AddrPort `json:"resolvers"`
	Proxy     string           `json:"proxy"` // without its password
	Captive   bool             `json:"captive"`
	Metered   bool             `json:"metered"`
	Cost      float64          `json:"cost"` // in whatever unit the user counts, 0 by default
	Provider  string           `json:"provider"`
	Never     bool             `json:"never"`
	Signal    int              `json:"signal_dbm"` // of a radio network; 0 where unknown
	Roaming   bool             `json:"roaming"`    // it changes its access point just now

	Preferred   bool    `json:"preferred"`   // by a hint
	Free        bool    `json:"free"`        // by a hint: a hot spot without charge
	Performance float64 `json:"performance"` // bit/s, by a hint; 0 where none
	Server      string  `json:"server"`      // by a hint: the server to prefer there
	Congestion  float64 `json:"congestion"`  // 0 to 1, by a hint or measured
	RTT         float64 `json:"rtt_ms"`      // of its streams; 0 where unknown
	Loss        float64 `json:"loss"`        // share of segments retransmitted, 0 to 1
	Throughput  float64 `json:"throughput"`  // bit/s, of all its streams
	Streams     int     `json:"streams"`     // measured

	Hints []Hint `json:"hints"`
	// Rank counts from 1, the best; 0 where it cannot be used.
	Rank int `json:"rank"`
	// Why says in a sentence why it is, or is not, the one to use.
	Why string `json:"why"`

	congested bool // a hint says so
	part      bool // of a bridge, a bond or a VRF
}

// Route is a default route.
type Route struct {
	Via    netip.Addr `json:"via"` // invalid on a point-to-point link
	Metric int        `json:"metric"`
}

// Hint is what somebody has said of an interface.
type Hint struct {
	Key     string    `json:"key"`
	Value   string    `json:"value"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"` // zero: never
	// Found is of what a program has found out for whoever has not: the configuration, the facts of Engine.Facts and what is said without it go before.
	Found bool `json:"found,omitempty"`
}

// Dearer reports whether octets over the interface cost more than over the other.
func (i *Interface) Dearer(than *Interface) bool {
	return i.Metered && !than.Metered || i.Cost > than.Cost
}

// IsNetwork is netif.IsNetwork.
func (i *Interface) IsNetwork() bool {
	return netif.IsNetwork(i.Name, i.Kind, i.part, len(i.Routes) > 0)
}

// Usable reports whether a connection can be tried over it.
func (i *Interface) Usable() bool {
	return i.Up && i.Carrier && len(i.Addresses) > 0 && i.Kind != KindLoopback
}
