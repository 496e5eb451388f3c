package lab

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// MultipathIsThere reports whether the kernel has Multipath TCP (RFC 8684).
func MultipathIsThere() bool {
	enabled, err := os.ReadFile("/proc/sys/net/mptcp/enabled")
	if err != nil || strings.TrimSpace(string(enabled)) == "0" {
		return false
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 262) // IPPROTO_MPTCP
	if err != nil {
		return false
	}
	syscall.Close(fd)
	return true
}

// LeadTo has this network lead to another one's server as well, which has this address there, such as 203.0.113.80.
func (n *Network) LeadTo(other *Network, address string) {
	n.lab.t.Helper()
	other.AddAddress(address)
	n.must(other.IP("link add between type veth peer name between netns "+n.Namespace.Name, "addr add 198.51.100.1/30 dev between",
		"link set between up", "route add "+n.Address(0)+"/24 via 198.51.100.2"))
	n.must(n.IP("addr add 198.51.100.2/30 dev between", "link set between up", "route add "+address+"/32 via 198.51.100.1"))
	n.must(n.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }))
}

// Multipath has the phone use this network as a second path of connections over Multipath TCP to another one's server; flags as ip-mptcp(8)
// has them: subflow, or subflow backup.
func (n *Network) Multipath(other *Network, flags string) {
	n.lab.t.Helper()
	n.must(other.Command("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"))
	for _, line := range []string{"mptcp limits set subflow 2 add_addr_accepted 2", "mptcp endpoint add " + n.Phone() + " dev " + n.Name + " " + flags} {
		n.must(exec.Command("ip", strings.Fields(line)...).Run())
	}
	n.lab.t.Cleanup(func() { exec.Command("ip", "mptcp", "endpoint", "flush").Run() })
}

// Congestion has connections of the phone's and of all networks' servers use the first of these algorithms that the host lets other namespaces
// than its own use (tcp(7), tcp_allowed_congestion_control), from now on. It returns which.
func (l *Lab) Congestion(algorithms ...string) string {
	l.t.Helper()
	for _, algorithm := range algorithms {
		set := func() error {
			return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(algorithm), 0o644)
		}
		if set() != nil {
			continue
		}
		for _, n := range l.Networks() {
			n.must(n.Do(set))
		}
		return algorithm
	}
	l.t.Fatalf("lab: none of the algorithms %q can be used", algorithms)
	return ""
}
