// What an error of the kernel's means here, and what to do about it.

package dial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"midstream/core/netif"
)

func explainSocket(err error, multipath bool) error {
	if multipath && (errors.Is(err, syscall.ENOPROTOOPT) || errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, syscall.EINVAL)) {
		return fmt.Errorf("open an MPTCP socket: %w; the kernel lacks it or has it turned off (sysctl net.mptcp.enabled=1)", err)
	}
	return os.NewSyscallError("socket", err)
}

func explainBind(err error, device string) error {
	switch {
	case errors.Is(err, syscall.ENODEV):
		if _, why := netif.ByName(device); why != nil {
			return fmt.Errorf("bind to device: %w (%w)", err, why)
		}
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("bind to device %s: %w; before Linux 5.7 it takes CAP_NET_RAW", device, err)
	}
	return fmt.Errorf("bind to device %s: %w", device, err)
}

// explainTimeout names strict reverse path filtering where it is the likely
// cause of silence: the replies come in by an interface that the routing table
// would not use for their source, and are dropped.
func explainTimeout(err error, device string) error {
	silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
	if !silent || device == "" || !strictReversePath("/proc/sys/net/ipv4/conf/", device) {
		return err
	}
	return fmt.Errorf("%w; net.ipv4.conf.%s.rp_filter is 1, which drops the replies unless an ip rule routes them by %s: set it to 2", err, device, device)
}

// strictReversePath reports whether the larger of the values for all interfaces
// and for this one is 1 (ip-sysctl: 2 is the loose mode, 0 off).
func strictReversePath(root, device string) bool {
	if strings.ContainsAny(device, "/") {
		return false
	}
	highest := ""
	for _, name := range []string{"all", device} {
		value, err := os.ReadFile(root + name + "/rp_filter")
		if err == nil {
			highest = max(highest, strings.TrimSpace(string(value)))
		}
	}
	return highest == "1"
}
