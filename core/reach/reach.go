// Package reach says how a server is reached over an interface, and where a stream must not go: names as the interface's network knows
// them (reach.go), the destination, which is the server or a proxy (destination.go), which of a name's addresses is tried first
// (preferred.go), and which of them may be connected to (lawful.go).
package reach

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"midstream/core/allowed"
	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/manager"
	"midstream/core/reason"
	"midstream/core/resolve"
	"midstream/core/resume"
)

// maxDialing bounds the connections being made at once: a thousand streams moved by one trigger must not exhaust descriptors, or the
// server's backlog.
const maxDialing = 64

// Reach is a process's. Safe for concurrent use.
type Reach struct {
	config     *config.Config
	interfaces Interfaces
	allowed    *allowed.Rules
	names      *resolve.Cache
	lookups    resume.Lookups
	dialing    chan struct{}
}

// Interfaces knows the host's, as the interface manager does.
type Interfaces interface {
	Interface(name string) (manager.Interface, bool)
}

// New returns the Reach of a process whose look-ups are kept in names.
func New(c *config.Config, interfaces Interfaces, rules *allowed.Rules, names *resolve.Cache) *Reach {
	return &Reach{config: c, interfaces: interfaces, allowed: rules, names: names, dialing: make(chan struct{}, maxDialing)}
}

// Stream is a stream of the program's, as its owner shows it to whoever makes connections for it. Safe for concurrent use.
type Stream interface {
	// Place is where it is now.
	Place() Place
	// Tries is told when an attempt to connect over the interface begins, and what it returns, what came of it.
	Tries(iface string) (ended func(error))
}

// Place is where a stream is.
type Place struct {
	Interface        string
	Server           netip.AddrPort // at the other end of its connection
	Peer             netip.AddrPort // that the program has connected to, and believes in
	Domain, Protocol int            // of the program's socket: AF_INET or AF_INET6, IPPROTO_TCP, IPPROTO_MPTCP or another one of stream sockets; 0: TCP
	Secure           bool           // it carries TLS
	Tunnel           string         // host:port that the program's own proxy was asked to connect to, "" if none
}

const ipprotoMPTCP = 262

// Names returns the names as the interface's network knows them.
func (r *Reach) Names(iface string) dial.Names {
	servers := r.config.Interfaces[iface].DNS
	if len(servers) == 0 {
		if i, ok := r.interfaces.Interface(iface); ok {
			servers = i.Resolvers
		}
	}
	if len(servers) == 0 {
		servers, _ = resolve.System()
	}
	servers = slices.DeleteFunc(slices.Clone(servers), func(server netip.AddrPort) bool { return !r.allowed.Astray("", iface, server.Addr()).None() })
	return r.lookups.Over(iface, servers)
}

// Connect makes a new connection to the destination's host, or proxy, for the stream: to no server in d.Avoid, nor to avoid unless that
// is the zero value. alike: to an address of avoid's family only, for one of the other may well be the same server's.
func (r *Reach) Connect(ctx context.Context, s Stream, d resume.Destination, avoid netip.AddrPort, alike bool) (*dial.Conn, error) {
	names := r.Names(d.Interface)
	if len(d.Avoid) > 0 && !avoid.IsValid() {
		for _, a := range d.Avoid {
			names = &resume.Others{Names: names, Avoid: a.Addr().Unmap()}
		}
		return r.dial(ctx, s, names, d, netip.AddrPort{})
	}
	now := s.Place().Server.Addr()
	if avoid.IsValid() {
		names, now = &resume.Others{Names: names, Avoid: avoid.Addr().Unmap(), Alike: alike}, netip.Addr{}
		d.Avoid = append(slices.Clone(d.Avoid), avoid)
	}
	preferred := netip.AddrPortFrom(r.Preferred(ctx, names, d.Interface, d.Host, now), d.Port)
	return r.dial(ctx, s, names, d, preferred)
}

// dial connects to the destination's host, to the preferred address first if the names have it.
func (r *Reach) dial(ctx context.Context, s Stream, names dial.Names, d resume.Destination, preferred netip.AddrPort) (*dial.Conn, error) {
	select {
	case r.dialing <- struct{}{}:
		defer func() { <-r.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := s.Place()
	options := dial.Options{Device: d.Interface, Multipath: p.Protocol == ipprotoMPTCP}
	if p.Protocol != ipprotoMPTCP && p.Protocol != syscall.IPPROTO_TCP {
		options.Protocol = p.Protocol // a server that is spoken to over another one is found over that
	}
	if p.Domain == syscall.AF_INET6 {
		options.Domain = syscall.AF_INET6
	}
	names = &resume.Known{Names: names, Addrs: p.inUse(d)}
	names = &resume.Lawful{Names: names, Unlawful: func(addr netip.Addr) reason.Reason { return r.unlawful(s.Place(), d, addr) }}
	ended := s.Tries(d.Interface)
	conn, err := dial.Host(ctx, names, d.Host, d.Port, preferred, options)
	ended(err)
	if err != nil {
		return nil, fmt.Errorf("no server of %s could be reached over %s: %w", d.Host, d.Interface, err)
	}
	return conn, nil
}

// inUse are the addresses at which the destination's host is known to be, the present one first; none where that is another host than the
// program's connection.
func (p *Place) inUse(d resume.Destination) (addrs []netip.Addr) {
	if !d.Untouched() || d.Tunnel != nil || p.Tunnel != "" {
		return nil // the program's own proxy is at the other end, or a proxy will be
	}
	for _, a := range []netip.AddrPort{p.Server, p.Peer} {
		addr := a.Addr().Unmap()
		if a.Port() == d.Port && addr.IsValid() && !addr.IsLoopback() && !slices.Contains(addrs, addr) && !slices.Contains(d.Avoid, a) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
