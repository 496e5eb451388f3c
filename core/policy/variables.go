// The variables of conditions.
package policy

import "math"

// Variables are what a condition is evaluated over. A condition on what is not there is false, whether it asks for
// more, less or equal.
type Variables struct {
	Interfaces map[string]*Interface
	Session    *Session // nil where the question is about no session
}

// Interface is what a condition can ask of an interface by its name: wlan0.rtt, or interfaces["br-lan"].rtt where
// the name is no identifier, or current.rtt for the one the session is on.
type Interface struct {
	Name       string  `expr:"-"`
	Congestion float64 `expr:"congestion"` // 0 to 1: by a hint, else from loss and the growth of the RTT
	RTT        float64 `expr:"rtt"`        // ms; NaN where nothing has been measured
	Loss       float64 `expr:"loss"`       // share of segments lost, 0 to 1; NaN likewise
	Throughput float64 `expr:"throughput"` // bit/s; NaN likewise
	Cost       float64 `expr:"cost"`
	Metered    bool    `expr:"metered"`
	Carrier    bool    `expr:"carrier"`
	Usable     bool    `expr:"usable"`    // up, with carrier and an address
	Captive    bool    `expr:"captive"`   // behind a captive portal
	Free       bool    `expr:"free"`      // without charge
	Preferred  bool    `expr:"preferred"` // by a hint
	Provider   string  `expr:"provider"`
	Kind       string  `expr:"kind"`    // ethernet, wifi, wwan, loopback, other
	Signal     float64 `expr:"signal"`  // of a radio network, dBm; NaN where unknown
	Roaming    bool    `expr:"roaming"` // it changes its access point just now
	Age        float64 `expr:"age"`     // s since it became usable; NaN where it is not
}

// Session is what a condition can ask of a session.
type Session struct {
	Interface string  `expr:"interface"`
	Server    string  `expr:"server"` // address:port
	Host      string  `expr:"host"`
	Port      float64 `expr:"port"`
	URL       string  `expr:"url"`
	Command   string  `expr:"command"`   // the command line
	Length    float64 `expr:"length"`    // octets; NaN where unknown
	Received  float64 `expr:"received"`  // octets
	Remaining float64 `expr:"remaining"` // octets; NaN where unknown
	Rate      float64 `expr:"rate"`      // bit/s; NaN where unknown
	Buffer    float64 `expr:"buffer"`    // s that a player has still to play; NaN where unknown
	PID       float64 `expr:"pid"`
	Age       float64 `expr:"age"` // s since it moved last; NaN if never
}

// What there is not has no measured values.
var (
	noInterface = Interface{Congestion: math.NaN(), RTT: math.NaN(), Loss: math.NaN(), Throughput: math.NaN(), Cost: math.NaN(), Signal: math.NaN(), Age: math.NaN()}
	noSession   = Session{Port: math.NaN(), Length: math.NaN(), Received: math.NaN(), Remaining: math.NaN(), Rate: math.NaN(),
		Buffer: math.NaN(), PID: math.NaN(), Age: math.NaN()}
)

// named is the interface of that name.
func (v *Variables) named(name string) *Interface {
	if i := v.Interfaces[name]; i != nil {
		return i
	}
	return &noInterface
}

// Known returns n, or NaN where n is negative, which stands for unknown elsewhere.
func Known(n int64) float64 {
	if n < 0 {
		return math.NaN()
	}
	return float64(n)
}

// Measured returns f, or NaN where it is 0, which stands for not measured elsewhere.
func Measured(f float64) float64 {
	if f == 0 {
		return math.NaN()
	}
	return f
}
