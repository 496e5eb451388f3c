// The carrier as it is now. The kernel tells of changes at most once a second (linkwatch, net/core/link_watch.c), unless
// somebody asks for the link.

package netif

import (
	"encoding/binary"
	"syscall"
)

// Sync lets the kernel take notice of the interface's carrier, so that List and Watch know of it. An interface that does
// not exist is none of its business.
func Sync(index int) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	// struct nlmsghdr, struct ifinfomsg. The kernel has done the work when the call returns; its answer is not needed.
	var m [syscall.NLMSG_HDRLEN + syscall.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], syscall.RTM_GETLINK)
	binary.NativeEndian.PutUint16(m[6:], syscall.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[syscall.NLMSG_HDRLEN+4:], uint32(index))
	syscall.Sendto(fd, m[:], 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
}
