// Which interfaces a stream may use at all: what the kernel would route into a tunnel, or by a rule of the administrator's,
// does not leave it; while the present network works, nothing goes over one that costs more; and what a person asked for holds.
package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/netmon"
	"midstream/core/resume"
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

// unlawful says why the address must not be connected to, "" if it may.
func (s *Stream) unlawful(r resume.Destination, addr netip.Addr) string {
	own, server := s.where()
	if r.From.IsValid() && resume.Private(addr) && addr != r.From && addr != server.Addr().Unmap() && addr != s.opened.Peer.Addr().Unmap() {
		if name, ok := s.c.names.Name(addr); !ok || name != r.Host {
			return fmt.Sprintf("a redirect leads to the private address %s, which %s did not have", addr, r.Host)
		}
	}
	if why := s.c.astray(own, r.Interface, addr); why != "" {
		return why
	}
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || s.c.mayLeave(r.Interface) {
		return ""
	}
	// connect(2) would look for it on the link.
	if to := s.c.link(r.Interface); to.Index != 0 {
		if _, err := netif.Lookup(addr, to.Index); errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES) {
			return fmt.Sprintf("no route leads to %s over %s", addr, r.Interface)
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

// inUse are the addresses at which the route's host is known to be, the present one first; none where the route leads to
// another host than the program's connection.
func (s *Stream) inUse(r resume.Destination) (addrs []netip.Addr) {
	if !r.Untouched() || r.Tunnel != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls != nil && s.tls.tunnel != "" {
		return nil // the program's own proxy is at the other end
	}
	for _, a := range []netip.AddrPort{s.server, s.opened.Peer} {
		addr := a.Addr().Unmap()
		if a.Port() == r.Port && addr.IsValid() && !addr.IsLoopback() && !slices.Contains(addrs, addr) && !slices.Contains(r.Avoid, a) {
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
