// One question to one server: over UDP, and over TCP where the answer does not
// fit (RFC 1035 section 4.2, RFC 6891, RFC 7766).

package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"midstream/core/netif"
)

const (
	udpSize   = 1232 // EDNS payload size that needs no fragments on any path
	maxForged = 64   // messages that do not answer the question, before it is given up
)

var errForged = errors.New("too many messages that do not answer the question")

// exchange returns the server's answer to the question, whatever its RCODE,
// or an error when there is none by the end of ctx.
func (r *Resolver) exchange(ctx context.Context, server netip.AddrPort, name string, qtype uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(udpSize, false)
	m, err := r.exchangeOver(ctx, "udp", server, q)
	if err == nil && m.Rcode == dns.RcodeFormatError { // a server from before EDNS (RFC 6891 section 7)
		q.Extra = nil
		m, err = r.exchangeOver(ctx, "udp", server, q)
	}
	if err == nil && m.Truncated {
		m, err = r.exchangeOver(ctx, "tcp", server, q)
	}
	return m, err
}

func (r *Resolver) exchangeOver(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	q.Id = dns.Id()
	dialer := net.Dialer{Control: r.bind(server)}
	c, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// The buffer holds more than is asked for: some servers ignore the limit.
	conn := dns.Conn{Conn: c, UDPSize: 4 * udpSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for range maxForged {
		wire, err := conn.ReadMsgHeader(nil)
		if errors.Is(err, dns.ErrShortRead) {
			continue
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("no answer in time: %w", ctx.Err())
			}
			return nil, err
		}
		m := new(dns.Msg)
		// A truncated message may end in the middle of a record.
		if err := m.Unpack(wire); err != nil && !(m.Truncated && network == "udp") {
			continue
		}
		if answers(m, q) {
			return m, nil
		}
	}
	return nil, errForged
}

// answers reports whether m is a response to q. A refusal may come without the
// question.
func answers(m, q *dns.Msg) bool {
	if !m.Response || m.Id != q.Id || m.Opcode != q.Opcode {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	want, got := q.Question[0], m.Question[0]
	return len(m.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass && equalNames(got.Name, want.Name)
}

// bind returns the Dialer's Control that binds a socket to the device.
func (r *Resolver) bind(server netip.AddrPort) func(network, address string, c syscall.RawConn) error {
	if r.Device == "" || server.Addr().IsLoopback() {
		return nil
	}
	return func(network, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.BindToDevice(int(fd), r.Device)
			if strings.HasPrefix(network, "tcp") {
				netif.TakePort(int(fd), r.Device, sockaddr(server))
			}
		})
		if err == nil && failed != nil {
			err = fmt.Errorf("bind to device %s: %w", r.Device, failed)
		}
		return err
	}
}

func sockaddr(server netip.AddrPort) syscall.Sockaddr {
	if a := server.Addr().Unmap(); a.Is4() {
		return &syscall.SockaddrInet4{Addr: a.As4(), Port: int(server.Port())}
	}
	return &syscall.SockaddrInet6{Addr: server.Addr().As16(), Port: int(server.Port())}
}
