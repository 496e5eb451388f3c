// Which interfaces a stream may use: none that leads past a tunnel or the administrator's rules (package allowed); while the present network works, nothing goes over one that costs more; and what a person asked for holds.
package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"midstream/core/allowed"
	"midstream/core/manager"
	"midstream/core/resume"
)

// Barred implements liaison.Stream and migration.Stream: it says why the stream must not be continued over the interface, "" if it may.
func (s *Stream) Barred(iface string) string {
	own, server := s.Where()
	return s.c.allowed.Astray(own, iface, server.Addr())
}

// unlawful says why the address must not be connected to, "" if it may.
func (s *Stream) unlawful(r resume.Destination, addr netip.Addr) string {
	own, server := s.Where()
	if r.From.IsValid() && resume.Private(addr) && addr != r.From && addr != server.Addr().Unmap() && addr != s.opened.Peer.Addr().Unmap() {
		if name, ok := s.c.names.Name(addr); !ok || name != r.Host {
			return fmt.Sprintf("a redirect leads to the private address %s, which %s did not have", addr, r.Host)
		}
	}
	if why := s.c.allowed.Astray(own, r.Interface, addr); why != "" {
		return why
	}
	return s.c.allowed.Unreachable(r.Interface, addr)
}

// mayFollow reports whether a redirect to the host is followed: to the name that the program asked for, or to where its own
// answer came from. What another server on another network says is no reason to ask anything of others.
func (s *Stream) mayFollow(host, own string) bool {
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	_, server := s.Where()
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(own, ".")) ||
		err == nil && (addr.Unmap() == server.Addr().Unmap() || addr.Unmap() == s.opened.Peer.Addr().Unmap())
}

// inUse are the addresses at which the destination's host is known to be, the present one first; none where that is
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

// tries notes an attempt to connect over the interface; what it returns is to be called with its outcome.
func (s *Stream) tries(iface string) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := iface == s.iface
	if own {
		s.evidence.Begins(time.Now())
	}
	return func(err error) {
		if !own {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.evidence.Ends(err)
	}
}

// networkFailed reports whether the network that the stream is on has failed, not only its server.
func (s *Stream) networkFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pathLost() != "" || s.evidence.Failed(time.Now(), s.slow)
}

// dearer reports whether octets over the interface cost more than over own.
func (c *Controller) dearer(iface, own string) bool {
	a, ok := c.manager.Interface(iface)
	b, _ := c.manager.Interface(own)
	return ok && a.Dearer(&b)
}

// MayMove implements recovery.Stream: it is the interfaces of order over which the stream may be continued now, after a failure: none that costs more
// before its own network has failed, and none but that which a person asked for. refused: its server there has been asked
// in vain.
func (s *Stream) MayMove(refused bool) []string {
	own, _ := s.Where()
	list := s.Order()
	if s.networkFailed() {
		return list
	}
	s.mu.Lock()
	asked := s.asked == own && !s.evidence.Useless && !refused
	s.mu.Unlock()
	asked = asked || s.c.manager.UsedBy(s.c.pid) == own && !refused
	return slices.DeleteFunc(list, func(iface string) bool { return iface != own && (asked || s.c.dearer(iface, own)) })
}

// forgetEvidence begins anew with what connecting shows; dead: a probe has shown already that nobody answers there.
func (s *Stream) forgetEvidence(dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evidence = allowed.Dead(dead)
}

// keepWord notes who has brought the stream to the interface: what a person asked for holds until that network fails, or the
// person says otherwise. With s.mu.
func (s *Stream) keepWord(to, trigger string) {
	s.evidence = allowed.Evidence{}
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
