// A closer look at the interfaces than List takes: what kind each is, and the default routes over it.

package netif

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"midstream/core/smallfile"
)

// The kinds of an Interface.
const (
	KindEthernet = "ethernet"
	KindWiFi     = "wifi"
	KindWWAN     = "wwan"
	KindLoopback = "loopback"
	KindTunnel   = "tunnel"
	KindOther    = "other" // bridges and all else
)

// DefaultRoute is a default route.
type DefaultRoute struct {
	Via    netip.Addr // invalid where there is no gateway, as on a point-to-point link
	Metric int        // lower is preferred by the kernel
}

// Survey is List with Kind and Defaults filled in, and Routes.
func Survey() ([]Interface, []Route, error) {
	all, err := List()
	if err != nil {
		return nil, nil, err
	}
	msgs, err := dump(syscall.RTM_GETROUTE)
	if err != nil {
		return nil, nil, err
	}
	routes := routesOf(msgs)
	tunnels := Tunnels(all, routes)
	for i := range all {
		if all[i].Kind = kindOf("/sys/class/net", &all[i]); tunnels[all[i].Name] {
			all[i].Kind = KindTunnel
		}
	}
	for i := range msgs {
		index, route, ok := parseDefault(&msgs[i])
		for j := range all {
			if ok && all[j].Index == index {
				all[j].Defaults = append(all[j].Defaults, route)
			}
		}
	}
	return all, routes, nil
}

// IsNetwork reports whether an interface is a network of the host's, or meant to be one: hardware, or what a default route leads over
// (routed). Not so the loopback, tunnels, parts of a bridge or bond, and what leads to this host's containers and virtual machines only.
func IsNetwork(name, kind string, part, routed bool) bool {
	switch kind {
	case KindEthernet, KindWiFi, KindWWAN:
		return !part && (routed || !strings.HasPrefix(name, "veth"))
	}
	return kind == KindOther && routed
}

// Offered reports whether a person is to be offered the interface, as Survey has it: networks and tunnels.
func (i Interface) Offered() bool {
	return i.Kind == KindTunnel || IsNetwork(i.Name, i.Kind, i.Master != 0, len(i.Defaults) > 0)
}

// From linux/if_arp.h: values of /sys/class/net/X/type.
const (
	arphrdEther = "1"
	arphrdPPP   = "512"
	arphrdRawIP = "519"
)

// kindOf reads sysfs (Documentation/ABI/testing/sysfs-class-net). A namespace's interfaces are seen in the
// sysfs mounted in it; where they are not, the kind is other.
func kindOf(sys string, i *Interface) string {
	if i.Loopback {
		return KindLoopback
	}
	folder := filepath.Join(sys, i.Name)
	uevent, _ := smallfile.Read(filepath.Join(folder, "uevent"))
	for line := range strings.Lines(string(uevent)) {
		switch strings.TrimSpace(line) {
		case "DEVTYPE=wlan":
			return KindWiFi
		case "DEVTYPE=wwan":
			return KindWWAN
		case "DEVTYPE=bridge", "DEVTYPE=wireguard", "DEVTYPE=vxlan", "DEVTYPE=geneve", "DEVTYPE=gre":
			return KindOther
		}
	}
	for _, name := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return KindWiFi
		}
	}
	hardware, _ := smallfile.Read(filepath.Join(folder, "type"))
	switch strings.TrimSpace(string(hardware)) {
	case arphrdEther:
		return KindEthernet
	case arphrdPPP, arphrdRawIP:
		return KindWWAN
	}
	return KindOther
}

// From linux/rtnetlink.h.
const (
	sizeofRtMsg   = 12
	rtTableMain   = 254
	rtnUnicast    = 1
	rtnhFDead     = 1
	rtnhFLinkDown = 16
)

// parseDefault reads a struct rtmsg and its attributes; ok is false unless it is a usable default route of the
// main table.
func parseDefault(m *syscall.NetlinkMessage) (index int, route DefaultRoute, ok bool) {
	if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < sizeofRtMsg {
		return 0, route, false
	}
	destination, table, kind := m.Data[1], m.Data[4], m.Data[7]
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	if destination != 0 || table != rtTableMain || kind != rtnUnicast || flags&(rtnhFDead|rtnhFLinkDown) != 0 {
		return 0, route, false
	}
	attrs, err := attributes(m, sizeofRtMsg)
	if err != nil {
		return 0, route, false
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.RTA_OIF:
			if len(a.Value) >= 4 {
				index = int(binary.NativeEndian.Uint32(a.Value))
			}
		case syscall.RTA_PRIORITY:
			if len(a.Value) >= 4 {
				route.Metric = int(binary.NativeEndian.Uint32(a.Value))
			}
		case syscall.RTA_GATEWAY:
			route.Via, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return index, route, index != 0
}
