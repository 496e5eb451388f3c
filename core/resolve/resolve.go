// Package resolve turns host names into addresses as one network interface's
// own name servers see them, over sockets bound to that interface (RFC 1035,
// 6891, 8305 section 3), and remembers the names that addresses came from.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"midstream/core/guard"
)

// What a name server can say instead of addresses; test with errors.Is. Any
// other error means that no server answered in time or could be reached.
var (
	ErrNXDomain = errors.New("there is no such name")
	ErrNoData   = errors.New("the name has no address")
	ErrServFail = errors.New("the name server could not answer")
	ErrBadName  = errors.New("not a host name")
)

// Defaults of the fields of Resolver left zero.
const (
	DefaultTimeout = 6 * time.Second
	DefaultStep    = 400 * time.Millisecond
	DefaultDelay   = 50 * time.Millisecond // RFC 8305 section 8
	DefaultHosts   = "/etc/hosts"
)

// Limits on what is asked and believed.
const (
	maxServers = 8  // further ones are not asked
	maxRounds  = 3  // times each server is asked one question
	maxChain   = 8  // aliases followed, and questions asked, for one name and type
	maxAddrs   = 32 // addresses taken from one answer
)

// Resolver looks names up. Its fields must not change during a look-up; the
// methods are safe for concurrent use.
type Resolver struct {
	// Servers are asked in this order; see System.
	Servers []netip.AddrPort
	// Device is the interface the sockets are bound to (SO_BINDTODEVICE), except
	// those to a loopback server, which no other interface reaches. Empty: unbound.
	Device string
	// Timeout bounds a look-up as a whole, beside its context.
	Timeout time.Duration
	// Silence is how long a question may be without a word from any server, a refusal included; 0: as long as Timeout lets it.
	Silence time.Duration
	// Step is the head start of a server before the next one is asked too. It
	// doubles with each round through the servers; earlier questions stay open.
	Step time.Duration
	// Delay is how long IPv4 addresses wait for the IPv6 ones: the Resolution
	// Delay of RFC 8305 section 3.
	Delay time.Duration
	// HostsFile is looked at before any server, as getaddrinfo(3) would.
	HostsFile string
}

// Answer is what a look-up found for one address family.
type Answer struct {
	Addrs []netip.Addr  // one family, in the order of the answer, without duplicates
	TTL   time.Duration // how long it holds; 0 for the hosts file and IP literals
}

// Lookup returns the addresses of host, IPv6 before IPv4, each family in the
// order of its answer, and the shorter of their times to live. host is an IP
// literal, a name in the hosts file, or a fully qualified domain name: search
// lists are not applied. Once IPv4 addresses are there, IPv6 is waited for no
// longer than Delay.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var v6, v4 Answer
	err := r.LookupEach(ctx, host, func(a Answer) {
		if a.Addrs[0].Is6() {
			v6 = a
		} else {
			v4 = a
			cancel() // IPv6 has had its time
		}
	})
	if err != nil {
		return nil, 0, err
	}
	ttl := v6.TTL
	if len(v6.Addrs) == 0 || len(v4.Addrs) > 0 && v4.TTL < ttl {
		ttl = v4.TTL
	}
	return append(v6.Addrs, v4.Addrs...), ttl, nil
}

// LookupEach is Lookup for a caller that starts connecting early: it calls
// each, from the calling goroutine, as soon as a family is known: at once for
// IPv6, after Delay at most for IPv4. each is called no more than twice, never
// with an empty Answer, and must not block for long. LookupEach returns when
// both families are settled or ctx ends, with an error only if each was never called.
func (r *Resolver) LookupEach(ctx context.Context, host string, each func(Answer)) error {
	if done, err := r.local(host, each); done {
		return err
	}
	if len(r.Servers) == 0 {
		return fmt.Errorf("resolve %s%s: no name server is known; name one in the configuration (dns = [...])", host, r.over())
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(r.Timeout, DefaultTimeout))
	defer cancel()

	type settled struct {
		v6     bool
		answer Answer
		err    error
	}
	results := make(chan settled, 2)
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeA} {
		go func() {
			defer guard.Recover()
			answer, err := r.family(ctx, host, qtype)
			results <- settled{qtype == dns.TypeAAAA, answer, err}
		}()
	}

	var err4, err6 error
	var found bool
	var held Answer // IPv4, waiting for IPv6
	deliver := func(a Answer) {
		if len(a.Addrs) > 0 {
			found = true
			each(a)
		}
	}
	delay := time.NewTimer(time.Hour)
	defer delay.Stop()
	settled6 := false
	for pending := 2; pending > 0; {
		select {
		case s := <-results:
			pending--
			if s.v6 {
				settled6, err6 = true, s.err
				deliver(s.answer)
				deliver(held)
				held = Answer{}
			} else if err4 = s.err; settled6 {
				deliver(s.answer)
			} else {
				held = s.answer
				delay.Reset(orDefault(r.Delay, DefaultDelay))
			}
		case <-delay.C:
			deliver(held)
			held = Answer{}
		}
	}
	if found {
		return nil
	}
	return fmt.Errorf("resolve %s%s: %w", host, r.over(), worse(err4, err6))
}

// local answers what needs no server, and refuses what no server can know.
func (r *Resolver) local(host string, each func(Answer)) (done bool, err error) {
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(literal); err == nil {
		each(Answer{Addrs: []netip.Addr{addr.Unmap()}})
		return true, nil
	}
	if err := checkName(host); err != nil {
		return true, fmt.Errorf("resolve %.300q: %w", host, err)
	}
	path := r.HostsFile
	if path == "" {
		path = DefaultHosts
	}
	addrs := hostsLookup(path, host)
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if len(addrs) == 0 && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		addrs = []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})} // RFC 6761 section 6.3
	}
	for _, want6 := range []bool{true, false} {
		var of []netip.Addr
		for _, a := range addrs {
			if a.Is6() == want6 {
				of = append(of, a)
			}
		}
		if len(of) > 0 {
			each(Answer{Addrs: of})
		}
	}
	return len(addrs) > 0, nil
}

// checkName refuses what is no host name (RFC 1123 section 2.1, with the
// underscores that are met in practice).
func checkName(host string) error {
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > 253 {
		return fmt.Errorf("%w: it has %d octets, 1 to 253 are allowed", ErrBadName, len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("%w: a label has %d octets, 1 to 63 are allowed", ErrBadName, len(label))
		}
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case c >= 0x80:
			return fmt.Errorf("%w: it is not in ASCII form (RFC 5890)", ErrBadName)
		default:
			return fmt.Errorf("%w: it contains %q", ErrBadName, c)
		}
	}
	return nil
}

// worse picks the error that says most about the name as a whole: that it does
// not exist, then trouble that may pass, then the lack of addresses.
func worse(a, b error) error {
	for _, err := range []error{a, b} {
		if errors.Is(err, ErrNXDomain) {
			return err
		}
	}
	if a == nil || errors.Is(a, ErrNoData) && b != nil {
		return b
	}
	return a
}

func (r *Resolver) over() string {
	if r.Device == "" {
		return ""
	}
	return " over " + r.Device
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
