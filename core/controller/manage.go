// The controller's side of the interface manager: it is told what the kernel knows and what the streams need.
package controller

import (
	"context"

	"midstream/core/manager"
	"midstream/core/netif"
)

// Manager returns the interface manager of this process.
func (c *Controller) Manager() manager.Manager { return c.manager }

// watchInterfaces keeps the manager's knowledge of the interfaces current until ctx ends.
func (c *Controller) watchInterfaces(ctx context.Context) {
	c.refreshInterfaces()
	notices, err := netif.Watch(ctx)
	if err != nil {
		c.log.Error().Err(err).Msg("interfaces are not watched")
		return
	}
	c.refreshInterfaces()
	for range notices {
		c.refreshInterfaces()
	}
}

func (c *Controller) refreshInterfaces() {
	links, err := netif.Survey()
	if err != nil {
		c.log.Error().Err(err).Msg("interfaces are not known")
		return
	}
	c.manager.Links(links)
}

// Need says what the manager has to know of the stream.
func (s *Stream) Need() manager.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := manager.Stream{
		ID: s.name(), PID: s.c.pid, Command: s.c.command, Interface: s.iface, Server: s.server.String(),
		Length: -1, Why: s.why(),
	}
	n.Movable = n.Why == ""
	e := s.current()
	n.Active = e != nil
	if e == nil {
		e = s.last
	}
	if e != nil {
		n.URL = e.url(s.opened.Peer.String())
		n.Length, n.Received = e.length(), s.received(e)
	}
	n.Host, n.Port = s.hostOf(e)
	if k := len(s.history); k > 0 {
		n.Moved = s.history[k-1].At.Time
	}
	return n
}
