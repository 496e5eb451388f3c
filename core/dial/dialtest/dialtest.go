// Package dialtest gives tests real connections of package dial. For tests only.
package dialtest

import (
	"net"
	"net/netip"
	"testing"

	"midstream/core/dial"
)

// Connect connects to a server that the test has. The connection is closed with the test.
func Connect(t testing.TB, to netip.AddrPort) *dial.Conn {
	t.Helper()
	conn, err := dial.Race(t.Context(), dial.Candidates(to), to, dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Pair returns a connection over loopback, and the server's end of it; both are closed with the test.
func Pair(t testing.TB) (*dial.Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn := Connect(t, netip.MustParseAddrPort(listener.Addr().String()))
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return conn, server
}

// Serve hands each connection to serve, in a goroutine of its own, until the test ends, and closes it afterwards. It returns where it listens.
func Serve(t testing.TB, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}
