// Servers that a test speaks for itself.

package lab

import "net"

// Answer has answer speak on every connection to a TCP address of the network, each in a goroutine of its own, until the
// test ends. When it returns, the connection is closed.
func (n *Network) Answer(t T, address, port string, answer func(net.Conn)) {
	t.Helper()
	var l net.Listener
	if err := n.Do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(address, port))
		return err
	}); err != nil {
		t.Fatalf("lab: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				answer(c)
			}()
		}
	}()
}
