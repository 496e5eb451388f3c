// Notice of changes: a NETLINK_ROUTE socket that hears of links, addresses and
// routes. What is lost can be read off the messages themselves: while an
// interface is being taken away, the kernel answers nobody who asks for more.

package netif

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
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
func Watch(ctx context.Context) (<-chan struct{}, error) { return Follow(ctx, nil) }

// Loss says that an interface, or an address of its, cannot be used any more.
type Loss struct {
	Index int
	Addr  netip.Addr // not valid: the interface itself
	Down  bool       // it is down or gone; otherwise it has no carrier
}

// Follow is Watch; besides, lost is called at once for each loss, before there is
// a notice of it, by one goroutine.
func Follow(ctx context.Context, lost func(Loss)) (<-chan struct{}, error) {
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
		for awaitNews(raw, buf, lost) == nil {
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
func awaitNews(raw syscall.RawConn, buf []byte, lost func(Loss)) error {
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		news := false
		for {
			n, from, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
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
					if lost != nil {
						losses(buf[:n], lost)
					}
				}
			}
		}
	})
	return errors.Join(err, failed)
}

// losses tells of those in the kernel's messages.
func losses(wire []byte, lost func(Loss)) {
	msgs, err := messages(wire)
	if err != nil {
		return
	}
	for i := range msgs {
		m := &msgs[i]
		switch m.Header.Type {
		case syscall.RTM_NEWLINK, syscall.RTM_DELLINK:
			if len(m.Data) < syscall.SizeofIfInfomsg || m.Data[0] != syscall.AF_UNSPEC {
				continue // of a bridge's port, for example
			}
			flags := binary.NativeEndian.Uint32(m.Data[8:])
			down := m.Header.Type == syscall.RTM_DELLINK || flags&syscall.IFF_UP == 0
			if down || flags&syscall.IFF_RUNNING == 0 {
				lost(Loss{Index: int(int32(binary.NativeEndian.Uint32(m.Data[4:]))), Down: down})
			}
		case syscall.RTM_DELADDR:
			if index, addr, ok := parseAddr(m); ok {
				lost(Loss{Index: index, Addr: addr})
			}
		}
	}
}
