// Reaching a server of the same name over another interface.
package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"midstream/core/dial"
	"midstream/core/netif"
	"midstream/core/resolve"
	"midstream/core/resume"
)

const ipprotoMPTCP = 262

// Open implements migration.Stream: it connects to the destination's host over its interface, found by that interface's resolver. The server the
// stream is at now comes first if the other network knows it too.
func (s *Stream) Open(ctx context.Context, r resume.Destination) (*dial.Conn, error) {
	if len(r.Avoid) == 0 && !r.Fresh {
		// Before the kernel is asked for anything: it answers nobody while it takes the old interface away.
		if conn := s.standby.TakeTo(r); conn != nil {
			return conn, nil
		}
	}
	if _, err := netif.ByName(r.Interface); err != nil {
		return nil, err
	}
	if len(r.Avoid) == 0 {
		return s.connect(ctx, r, netip.AddrPort{}, false)
	}
	names := s.c.resolver(r.Interface)
	for _, a := range r.Avoid {
		names = &resume.Others{Names: names, Avoid: a.Addr().Unmap()}
	}
	return s.dial(ctx, names, r, netip.AddrPort{})
}

// dial connects to the destination's host, to the preferred address first if the names have it.
func (s *Stream) dial(ctx context.Context, names dial.Names, r resume.Destination, preferred netip.AddrPort) (*dial.Conn, error) {
	select {
	case s.c.dialing <- struct{}{}:
		defer func() { <-s.c.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	options := dial.Options{Device: r.Interface, Multipath: s.opened.Protocol == ipprotoMPTCP}
	if s.opened.Domain == syscall.AF_INET6 {
		options.Domain = syscall.AF_INET6
	}
	names = &resume.Known{Names: names, Addrs: s.inUse(r)}
	names = &resume.Lawful{Names: names, Unlawful: func(addr netip.Addr) string { return s.unlawful(r, addr) }}
	tried := s.tries(r.Interface)
	conn, err := dial.Host(ctx, names, r.Host, r.Port, preferred, options)
	tried(err)
	if err != nil {
		return nil, fmt.Errorf("no server of %s could be reached over %s: %w", r.Host, r.Interface, err)
	}
	if r.Tunnel != nil {
		if err := s.bore(ctx, conn, r.Tunnel, r.Interface); err != nil {
			return nil, err
		}
	}
	return s.secure(ctx, conn)
}

// connect makes a new connection to the destination's host, to any server of that name but avoid. alike: to an address of avoid's family
// only, for one of the other may well be the same server's.
func (s *Stream) connect(ctx context.Context, r resume.Destination, avoid netip.AddrPort, alike bool) (*dial.Conn, error) {
	names := s.c.resolver(r.Interface)
	now := s.place().Addr()
	if avoid.IsValid() {
		names, now = &resume.Others{Names: names, Avoid: avoid.Addr().Unmap(), Alike: alike}, netip.Addr{}
		r.Avoid = append(slices.Clone(r.Avoid), avoid)
	}
	preferred := netip.AddrPortFrom(s.c.preferred(ctx, names, r.Interface, r.Host, now), r.Port)
	return s.dial(ctx, names, r, preferred)
}

// place returns the server the stream is at.
func (s *Stream) place() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// resolver returns the names as the interface's network knows them.
func (c *Controller) resolver(iface string) dial.Names {
	servers := c.config.Interfaces[iface].DNS
	if len(servers) == 0 {
		if i, ok := c.manager.Interface(iface); ok {
			servers = i.Resolvers
		}
	}
	if len(servers) == 0 {
		servers, _ = resolve.System()
	}
	servers = slices.DeleteFunc(slices.Clone(servers), func(server netip.AddrPort) bool { return c.allowed.Astray("", iface, server.Addr()) != "" })
	return c.lookups.Over(iface, servers)
}
