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
	Name       string
	Congestion float64 // 0 to 1: by a hint, else from loss and the growth of the RTT
	RTT        float64 // ms; NaN where nothing has been measured
	Loss       float64 // share of segments lost, 0 to 1; NaN likewise
	Throughput float64 // bit/s; NaN likewise
	Cost       float64
	Metered    bool
	Carrier    bool
	Usable     bool // up, with carrier and an address
	Captive    bool // behind a captive portal
	Free       bool // without charge
	Preferred  bool // by a hint
	Provider   string
	Kind       string  // ethernet, wifi, wwan, loopback, other
	Age        float64 // s since it became usable; NaN where it is not
}

// Session is what a condition can ask of a session.
type Session struct {
	Interface string
	Server    string // address:port
	Host      string
	Port      float64
	URL       string
	Command   string  // the command line
	Length    float64 // octets; NaN where unknown
	Received  float64 // octets
	Remaining float64 // octets; NaN where unknown
	Rate      float64 // bit/s; NaN where unknown
	PID       float64
	Age       float64 // s since it moved last; NaN if never
}

type field[T any] struct {
	kind kind
	get  func(*T) value
}

func flag[T any](get func(*T) bool) field[T] {
	return field[T]{boolean, func(t *T) value { return value{b: get(t)} }}
}

func amount[T any](get func(*T) float64) field[T] {
	return field[T]{number, func(t *T) value { return value{n: get(t)} }}
}

func word[T any](get func(*T) string) field[T] {
	return field[T]{text, func(t *T) value { return value{s: get(t)} }}
}

var interfaceFields = map[string]field[Interface]{
	"congestion": amount(func(i *Interface) float64 { return i.Congestion }),
	"rtt":        amount(func(i *Interface) float64 { return i.RTT }),
	"loss":       amount(func(i *Interface) float64 { return i.Loss }),
	"throughput": amount(func(i *Interface) float64 { return i.Throughput }),
	"cost":       amount(func(i *Interface) float64 { return i.Cost }),
	"age":        amount(func(i *Interface) float64 { return i.Age }),
	"metered":    flag(func(i *Interface) bool { return i.Metered }),
	"carrier":    flag(func(i *Interface) bool { return i.Carrier }),
	"usable":     flag(func(i *Interface) bool { return i.Usable }),
	"captive":    flag(func(i *Interface) bool { return i.Captive }),
	"free":       flag(func(i *Interface) bool { return i.Free }),
	"preferred":  flag(func(i *Interface) bool { return i.Preferred }),
	"provider":   word(func(i *Interface) string { return i.Provider }),
	"kind":       word(func(i *Interface) string { return i.Kind }),
}

var sessionFields = map[string]field[Session]{
	"interface": word(func(s *Session) string { return s.Interface }),
	"server":    word(func(s *Session) string { return s.Server }),
	"host":      word(func(s *Session) string { return s.Host }),
	"url":       word(func(s *Session) string { return s.URL }),
	"command":   word(func(s *Session) string { return s.Command }),
	"port":      amount(func(s *Session) float64 { return s.Port }),
	"length":    amount(func(s *Session) float64 { return s.Length }),
	"received":  amount(func(s *Session) float64 { return s.Received }),
	"remaining": amount(func(s *Session) float64 { return s.Remaining }),
	"rate":      amount(func(s *Session) float64 { return s.Rate }),
	"pid":       amount(func(s *Session) float64 { return s.PID }),
	"age":       amount(func(s *Session) float64 { return s.Age }),
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
