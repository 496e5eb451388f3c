// Notice of changes: a NETLINK_ROUTE socket that hears of links, addresses and
// routes.

package netif

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"midstream/core/guard"
)

// From linux/rtnetlink.h: the multicast groups listened to.
const (
	rtmgrpLink       = 0x001
	rtmgrpIPv4IfAddr = 0x010
	rtmgrpIPv4Route  = 0x040
	rtmgrpIPv6IfAddr = 0x100
	rtmgrpIPv6Route  = 0x400
)

// Watch returns a channel that holds one notice whenever links, addresses or
// routes have changed since the last one was taken. Changes in quick succession
// may share a notice; what changed is found by List. The channel is closed when
// ctx ends or the socket fails.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch interfaces: open a NETLINK_ROUTE socket: %w", err)
	}
	groups := uint32(rtmgrpLink | rtmgrpIPv4IfAddr | rtmgrpIPv4Route | rtmgrpIPv6IfAddr | rtmgrpIPv6Route)
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groups}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("watch interfaces: join the groups of links, addresses and routes: %w", err)
	}
	file := os.NewFile(uintptr(fd), "NETLINK_ROUTE")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("watch interfaces: %w", err)
	}
	notices := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { file.Close() })
	go func() {
		defer guard.Recover()
		defer close(notices)
		defer file.Close()
		defer stop()
		buf := make([]byte, 8192)
		for awaitNews(raw, buf) == nil {
			select {
			case notices <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return notices, nil
}

// awaitNews blocks until messages of the kernel's have come, and takes all
// there are.
func awaitNews(raw syscall.RawConn, buf []byte) error {
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		news := false
		for {
			_, from, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return news
			case err == syscall.ENOBUFS: // messages were lost: something changed
				news = true
			case err != nil:
				failed = err
				return true
			default:
				// Other processes may send to a netlink address; only the kernel has port 0.
				if sender, ok := from.(*syscall.SockaddrNetlink); ok && sender.Pid == 0 {
					news = true
				}
			}
		}
	})
	return errors.Join(err, failed)
}
