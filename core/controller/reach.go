// Connections for a stream: where it is (package reach), and what lies over its connections.
package controller

import (
	"context"
	"net/netip"

	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/netif"
	"midstream/core/reach"
	"midstream/core/reason"
	"midstream/core/resume"
)

var _ reach.Stream = (*Stream)(nil)

// Place implements reach.Stream.
func (s *Stream) Place() reach.Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place()
}

// place is Place. With s.mu.
func (s *Stream) place() reach.Place {
	p := reach.Place{Interface: s.iface, Server: s.server, Peer: s.opened.Peer, Domain: s.opened.Domain, Protocol: s.opened.Protocol}
	if s.foreign {
		p.Server = p.Peer // nothing of the program's name is sought where another one's server is
	}
	if s.tls != nil {
		p.Secure, p.Tunnel = true, s.tls.Tunnel
	}
	return p
}

// Destination implements delivery.Stream.
func (s *Stream) Destination(iface string, request *http1.Request) (resume.Destination, error) {
	return s.c.reach.Destination(s.Place(), iface, request)
}

// Open implements migration.Stream. The server the stream is at now comes first if the other network knows it too.
func (s *Stream) Open(ctx context.Context, to resume.Destination) (*dial.Conn, error) {
	if len(to.Avoid) == 0 && !to.Fresh {
		// Before the kernel is asked for anything: it answers nobody while it takes the old interface away.
		if conn := s.standby.TakeTo(to); conn != nil {
			return conn, nil
		}
	}
	if _, err := netif.ByName(to.Interface); err != nil {
		return nil, err
	}
	return s.connect(ctx, to, netip.AddrPort{}, false)
}

// OpenInTime implements delivery.Requester.
func (s *Stream) OpenInTime(to resume.Destination) (*dial.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.c.config.Migration.Timeout)
	defer cancel()
	return s.Open(ctx, to)
}

// connect is reach.Connect, with what lies over the connection: a tunnel through a proxy, and TLS.
func (s *Stream) connect(ctx context.Context, to resume.Destination, avoid netip.AddrPort, alike bool) (*dial.Conn, error) {
	if s.ftp != nil && (!to.Untouched() || to.Tunnel != nil) {
		return nil, reason.FTPProxy.With(to.Interface)
	}
	conn, err := s.c.reach.Connect(ctx, s, to, avoid, alike)
	if err != nil {
		return nil, err
	}
	if s.ftp != nil {
		return s.ftp.Prepare(ctx, conn, to.Interface, s.opened.Domain)
	}
	if to.Tunnel != nil {
		if err := s.bore(ctx, conn, to.Tunnel, to.Interface); err != nil {
			return nil, err
		}
	}
	return s.secure(ctx, conn, to)
}

// bore has the proxy that the connection leads to connect to the destination's server. The connection is closed after an error.
func (s *Stream) bore(ctx context.Context, conn *dial.Conn, t *resume.Tunnel, iface string) error {
	s.mu.Lock()
	e := s.current()
	if e == nil {
		e = s.last
	}
	s.mu.Unlock()
	if e == nil {
		conn.Reset()
		return errOver
	}
	p, err := s.Permit(ctx, e, iface, conn)
	if err == nil {
		err = p.Refused(t.Ask(ctx, conn, iface, p))
	}
	if err != nil {
		conn.Reset()
	}
	return err
}
