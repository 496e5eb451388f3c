// A port of its own for a connection that is bound to an interface.

package netif

import "syscall"

// TakePort gives a TCP socket, which has been bound to device and is about to connect to the address, a port that no other
// socket has. Left to connect(2), a socket that is bound to no interface, also another program's, may get the same port towards
// the same server afterwards: the kernel tells the two apart by the interface (inet_sk_bound_dev_eq), but to the server they
// are one connection, and one of them is refused or reset. No connect(2) chooses a port that bind(2) has given away. Where
// that is not possible, as where no port is free, the socket stays as it is.
func TakePort(fd int, device string, to syscall.Sockaddr) {
	domain := syscall.AF_INET
	if _, is := to.(*syscall.SockaddrInet6); is {
		domain = syscall.AF_INET6
	}
	// The address from which the kernel would connect: connecting a UDP socket sends nothing. A port at any address
	// would not do: Linux 6.18 may forget that bind(2) gave it away when the address becomes known.
	probe, err := syscall.Socket(domain, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(probe)
	if syscall.BindToDevice(probe, device) != nil || syscall.Connect(probe, to) != nil {
		return
	}
	from, err := syscall.Getsockname(probe)
	if err != nil {
		return
	}
	switch from := from.(type) {
	case *syscall.SockaddrInet4:
		from.Port = 0
	case *syscall.SockaddrInet6:
		from.Port = 0
	}
	syscall.Bind(fd, from)
}
