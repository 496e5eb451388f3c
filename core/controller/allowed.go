// Which interfaces a stream may use at all: what the kernel would route into a tunnel, or by a rule of the administrator's,
// does not leave it; while the present network works, nothing goes over one that costs more; and what a person asked for holds.
package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/netmon"
	"midstream/core/refusal"
	"midstream/core/resolve"
)

// link returns what is known of the interface, which need not be there any more.
func (c *Controller) link(name string) netmon.Link {
	l := c.networks.Fresh().Link(name)
	if kind := c.config.Interfaces[name].Kind; kind != "" {
		l.Tunnel = kind == netif.KindTunnel
	}
	return l
}

// mayLeave reports whether the configuration lets the interface be used in spite of tunnels and rules.
func (c *Controller) mayLeave(iface string) bool {
	return c.config.Policy.LeaveTunnel || slices.Contains(c.config.Policy.Prefer, iface)
}

// astray says why a connection to the address must not be made over the interface, "" if it may: for a stream that is on the
// interface own, or "" for none. It is for the kernel to say which route leads there, and for the configuration to
// allow others.
func (c *Controller) astray(own, iface string, addr netip.Addr) string {
	if addr = addr.Unmap(); c.mayLeave(iface) || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return ""
	}
	from, to := c.link(own), c.link(iface)
	switch {
	case own != iface && from.Tunnel:
		return fmt.Sprintf("its connection goes through the tunnel %s, which is not to be left (policy.leave_tunnel)", own)
	case own != "" && from.VRF != to.VRF:
		return fmt.Sprintf("%s is in another VRF than the program's connection (policy.leave_tunnel)", iface)
	}
	if !addr.IsValid() {
		return ""
	}
	route, err := netif.Lookup(addr, from.VRF)
	if err != nil || route.Local || route.Leads(to.Index) {
		return "" // where no route leads there, the interface may have one of its own
	}
	if through := c.networks.State().Named(route.Index); through != "" && c.link(through).Tunnel {
		return fmt.Sprintf("the route to %s leads through the tunnel %s, which is not to be left (policy.leave_tunnel)", addr, through)
	}
	// A rule has chosen the table. Where the interface is found in the main one only, the kernel would not use it.
	if over, err := netif.Lookup(addr, to.Index); route.ByRule() && err == nil && !over.ByRule() {
		return fmt.Sprintf("the kernel's rules lead to %s another way (policy.leave_tunnel)", addr)
	}
	return ""
}

// barred says why the stream must not be continued over the interface, "" if it may.
func (s *Stream) barred(iface string) string {
	own, server := s.where()
	return s.c.astray(own, iface, server.Addr())
}

// lawful are names without the addresses to which no connection may be made over the interface.
type lawful struct {
	dial.Names
	s     *Stream
	route route
}

// LookupEach implements dial.Names.
func (n *lawful) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	found, why := false, ""
	err := n.Names.LookupEach(ctx, host, func(a resolve.Answer) {
		left := make([]netip.Addr, 0, len(a.Addrs))
		for _, addr := range a.Addrs {
			if reason := n.s.unlawful(n.route, addr); reason != "" {
				why = reason
			} else {
				left = append(left, addr)
			}
		}
		if a.Addrs = left; len(left) > 0 {
			found = true
			each(a)
		}
	})
	if !found && why != "" {
		return &refusal.Refusal{Why: why}
	}
	return err
}

// unlawful says why the address must not be connected to, "" if it may.
func (s *Stream) unlawful(r route, addr netip.Addr) string {
	own, server := s.where()
	if r.from.IsValid() && isPrivate(addr) && addr != r.from && addr != server.Addr().Unmap() && addr != s.opened.Peer.Addr().Unmap() {
		if name, ok := s.c.names.Name(addr); !ok || name != r.host {
			return fmt.Sprintf("a redirect leads to the private address %s, which %s did not have", addr, r.host)
		}
	}
	if why := s.c.astray(own, r.iface, addr); why != "" {
		return why
	}
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || s.c.mayLeave(r.iface) {
		return ""
	}
	// connect(2) would look for it on the link.
	if to := s.c.link(r.iface); to.Index != 0 {
		if _, err := netif.Lookup(addr, to.Index); errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES) {
			return fmt.Sprintf("no route leads to %s over %s", addr, r.iface)
		}
	}
	return ""
}

// mayFollow reports whether a redirect to the host is followed: to the name that the program asked for, or to where its own
// answer came from. What another server on another network says is no reason to ask anything of others.
func (s *Stream) mayFollow(host, own string) bool {
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	_, server := s.where()
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(own, ".")) ||
		err == nil && (addr.Unmap() == server.Addr().Unmap() || addr.Unmap() == s.opened.Peer.Addr().Unmap())
}

// isPrivate reports whether the address is none of the public Internet's (RFC 6890).
func isPrivate(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast() ||
		sharedSpace.Contains(addr) || thisNetwork.Contains(addr)
}

var (
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
)

// known are names that fall back upon addresses where the network's name servers cannot answer.
type known struct {
	dial.Names
	addrs []netip.Addr
}

// lateNames is how long name servers may take before an address that is the same in every network is tried beside.
const lateNames = 150 * time.Millisecond

// LookupEach implements dial.Names. A name of which the servers say that it does not exist, or has no address, has none.
func (n *known) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	var mu sync.Mutex // each is called by one at a time
	found, over := false, false
	offer := func(addr netip.Addr) {
		found = true
		each(resolve.Answer{Addrs: []netip.Addr{addr}})
	}
	late := time.AfterFunc(lateNames, func() {
		defer guard.Recover()
		mu.Lock()
		defer mu.Unlock()
		for _, addr := range n.addrs {
			if !over && ctx.Err() == nil && !isPrivate(addr) {
				offer(addr)
			}
		}
	})
	defer late.Stop()
	err := n.Names.LookupEach(ctx, host, func(a resolve.Answer) {
		mu.Lock()
		defer mu.Unlock()
		found = true
		each(a)
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	if err == nil || found || ctx.Err() != nil || errors.Is(err, resolve.ErrNXDomain) || errors.Is(err, resolve.ErrNoData) || errors.Is(err, resolve.ErrBadName) {
		return err
	}
	for _, addr := range n.addrs {
		offer(addr)
	}
	if found {
		return nil
	}
	return err
}

// inUse are the addresses at which the route's host is known to be, the present one first; none where the route leads to
// another host than the program's connection.
func (s *Stream) inUse(r route) (addrs []netip.Addr) {
	if !r.untouched() || r.tunnel != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls != nil && s.tls.tunnel != "" {
		return nil // the program's own proxy is at the other end
	}
	for _, a := range []netip.AddrPort{s.server, s.opened.Peer} {
		addr := a.Addr().Unmap()
		if a.Port() == r.port && addr.IsValid() && !addr.IsLoopback() && !slices.Contains(addrs, addr) && !slices.Contains(r.avoid, a) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// attempts are what connecting over the stream's own interface has shown since its connection failed. With the stream's mu.
type attempts struct {
	begun  time.Time // of the first that nobody has answered
	dead   bool      // the network has said that it leads nowhere
	failed bool      // there was a connection, or a word of the server's, and yet no use of it
}

// unansweredLimit is how long connecting over the present interface is tried without an answer before its network counts as
// failed, at least. By then it has been tried more than once (hedge).
const unansweredLimit = 300 * time.Millisecond

// tries notes an attempt to connect over the interface; what it returns is to be called with its outcome.
func (s *Stream) tries(iface string) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := iface == s.iface
	if own && s.attempts.begun.IsZero() {
		s.attempts.begun = time.Now()
	}
	return func(err error) {
		if !own {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		a := &s.attempts
		unreachable := errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETDOWN)
		switch {
		case err == nil:
			*a = attempts{}
		case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET):
			*a = attempts{failed: true}
		case unreachable:
			a.dead = true
		}
	}
}

// networkFailed reports whether the network that the stream is on has failed, not only its server.
func (s *Stream) networkFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.attempts
	return s.pathLost() != "" || a.dead || !a.begun.IsZero() && time.Since(a.begun) > max(unansweredLimit, 2*s.slow)
}

// dearer reports whether octets over the interface cost more than over own.
func (c *Controller) dearer(iface, own string) bool {
	a, ok := c.manager.Interface(iface)
	b, _ := c.manager.Interface(own)
	return ok && a.Dearer(&b)
}

// mayMove are the interfaces of order over which the stream may be continued now, after a failure: none that costs more
// before its own network has failed, and none but that which a person asked for. refused: its server there has been asked
// in vain.
func (s *Stream) mayMove(refused bool) []string {
	own, _ := s.where()
	list := s.order()
	if s.networkFailed() {
		return list
	}
	s.mu.Lock()
	asked := s.asked == own && !s.attempts.failed && !refused
	s.mu.Unlock()
	asked = asked || s.c.manager.UsedBy(s.c.pid) == own && !refused
	return slices.DeleteFunc(list, func(iface string) bool { return iface != own && (asked || s.c.dearer(iface, own)) })
}

// forgetAttempts begins anew with what connecting shows; dead: a probe has shown already that nobody answers there.
func (s *Stream) forgetAttempts(dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = attempts{dead: dead}
}

// keepWord notes who has brought the stream to the interface: what a person asked for holds until that network fails, or the
// person says otherwise. With s.mu.
func (s *Stream) keepWord(to, trigger string) {
	s.attempts = attempts{}
	switch {
	case trigger == triggerPerson || trigger == manager.TriggerUse || trigger == manager.TriggerWhen:
		s.asked = to
	case to != s.asked:
		s.asked = ""
	}
}

// forgetWords lets what a person asked for no longer hold: the person has said otherwise.
func (c *Controller) forgetWords() {
	for _, s := range c.all("") {
		s.mu.Lock()
		s.asked = ""
		s.mu.Unlock()
	}
}
