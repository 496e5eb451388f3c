// FTP: a control connection is a stream that is not moved by itself; that of its data connection is, and package ftp has the dialogue go on.
package controller

import (
	"context"
	"net"
	"net/netip"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/exchange"
	"midstream/core/ftp"
	"midstream/core/netif"
	"midstream/core/reason"
)

// dialogue is a control connection as package ftp sees it, and transfer a data connection.
type (
	dialogue struct{ *Stream }
	transfer struct{ *Stream }
)

// join finds out what the stream is of FTP's.
func (s *Stream) join() {
	s.c.mu.Lock()
	of := s.c.streams[s.opened.Control]
	s.c.mu.Unlock()
	switch {
	case s.opened.Dialogue:
		s.ftp = ftp.NewControl(dialogue{s}, s.opened.Peer)
	case of != nil && of.ftp != nil:
		s.ftp = of.ftp
		s.opened.Peer, s.server = s.ftp.Where()
	}
}

// Pair implements ftp.Stream.
func (s dialogue) Pair(ctx context.Context, device int, server netip.AddrPort) (net.Conn, error) {
	pair, _, err := s.placePair(ctx, 1, channel.Handover{When: channel.Now, Device: device, Server: server}, 0)
	if err != nil {
		return nil, err
	}
	return pair.Core, nil
}

// Park implements ftp.Stream.
func (s dialogue) Park() {
	s.mu.Lock()
	f := s.failed
	s.mu.Unlock()
	s.waitParked(f, exchange.NewTransfer(1, exchange.File{Scheme: "ftp"}, s.c.config.Migration.Proof, counted{s.Stream}))
}

// GiveUp implements ftp.Stream.
func (s dialogue) GiveUp() { s.Stream.GiveUp(reason.ExchangeEnded) }

// Guard implements ftp.Stream.
func (s dialogue) Guard(on bool) {
	as := channel.GuardNone
	if on && s.c.config.Failover.Enabled && !netif.InHost(s.iface) {
		as = channel.GuardEnds
	}
	s.c.shim.Guard(s.slot, s.id, as)
}

// Carried implements ftp.Stream.
func (s dialogue) Carried(err error) {
	s.c.log.Info().Str("session", s.name()).Err(err).Msg("the FTP dialogue goes on beside its transfer")
}

// host is the server that an exchange's URL has where its request names none. With s.mu.
func (s *Stream) host() string {
	if s.ftp == nil {
		return s.opened.Peer.String()
	}
	return ftp.Authority(s.c.reach.Host(s.place(), nil))
}

// Whole implements ftp.Data.
func (s transfer) Whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.current()
	return e == nil || e.Whole(e.Received())
}

// Begin implements ftp.Data.
func (s transfer) Begin(t *ftp.Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.change()
	defer s.guard()
	e := exchange.NewTransfer(1, t.File(), s.c.config.Migration.Proof, counted{s.Stream})
	s.exchanges = append(s.exchanges, e)
	s.c.shim.Keep(s.slot, s.id, true) // nothing else will prove that another server has the same
	s.publish(control.EventExchange, "request for "+e.URL(s.host()), nil)
}
