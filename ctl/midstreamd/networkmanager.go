// What NetworkManager says over D-Bus: the NetworkManager D-Bus reference.
package main

import (
	"net/netip"

	"github.com/godbus/dbus/v5"

	"midstream/core/manager"
)

const (
	networkName = "org.freedesktop.NetworkManager"
	networkPath = "/org/freedesktop/NetworkManager"
)

// networkManager asks NetworkManager for what it knows of each device.
func networkManager(l *look) map[string]manager.Fact {
	facts := map[string]manager.Fact{}
	l.get(networkPath, networkName, "Startup", &l.starting)
	var devices []dbus.ObjectPath
	l.ask(l.object(networkPath), networkName+".GetDevices", &devices)
	for _, device := range devices {
		known := l.all(device, networkName+".Device")
		var name string
		var metered, state uint32
		if !known.read("Interface", &name) || known.read("State", &state) && state <= unmanaged {
			continue // of containers, for example
		}
		var f manager.Fact
		var active dbus.ObjectPath
		if known.read("ActiveConnection", &active) && active != "/" {
			connection := l.all(active, networkName+".Connection.Active")
			var flags uint32
			if connection.read("StateFlags", &flags) && flags&external != 0 {
				continue // of docker0 and lo, too, of which others have made what they are
			}
			connection.read("Id", &f.Provider)
		}
		if known.read("Metered", &metered) {
			f.Metered = meteredOf(metered)
		}
		f.Signal = strength(l, device)
		for _, family := range []string{"4", "6"} {
			var connectivity uint32
			if known.read("Ip"+family+"Connectivity", &connectivity) && connectivity == portal {
				f.Captive = true
			}
			var config dbus.ObjectPath
			if known.read("Ip"+family+"Config", &config) && config != "/" {
				f.Resolvers = append(f.Resolvers, nameservers(l, config, family)...)
			}
		}
		facts[name] = f
	}
	return facts
}

// unmanaged is NM_DEVICE_STATE_UNMANAGED of NMDeviceState; external is NM_ACTIVATION_STATE_FLAG_EXTERNAL of NMActivationStateFlags: the
// device was set up by others, and NetworkManager only shows it.
const (
	unmanaged = 10
	external  = 0x80
)

// portal is NM_CONNECTIVITY_PORTAL of NMConnectivityState. Of the others nothing follows: a network from which the page that is asked for
// cannot be had, NM_CONNECTIVITY_LIMITED, may lead to the server of a download all the same.
const portal = 2

// strength is the signal of a Wi-Fi device's access point in dBm, 0 where it has none: NetworkManager makes 100 % of -40 dBm and more,
// and 30 % of -100 dBm.
func strength(l *look, device dbus.ObjectPath) int {
	var station dbus.ObjectPath
	var percent byte
	if !l.get(device, networkName+".Device.Wireless", "ActiveAccessPoint", &station) || station == "/" ||
		!l.get(station, networkName+".AccessPoint", "Strength", &percent) || percent == 0 {
		return 0
	}
	return -40 - (100-int(min(percent, 100)))*60/70
}

// meteredOf reads NMMetered.
func meteredOf(value uint32) *bool {
	yes, no := true, false
	switch value {
	case 1, 3: // NM_METERED_YES, NM_METERED_GUESS_YES
		return &yes
	case 2, 4: // NM_METERED_NO, NM_METERED_GUESS_NO
		return &no
	}
	return nil
}

func nameservers(l *look, config dbus.ObjectPath, family string) (servers []netip.AddrPort) {
	of := networkName + ".IP" + family + "Config"
	if family == "6" {
		var list [][]byte
		if l.get(config, of, "Nameservers", &list) {
			for _, octets := range list {
				if addr, ok := netip.AddrFromSlice(octets); ok {
					servers = append(servers, netip.AddrPortFrom(addr, 53))
				}
			}
		}
		return servers
	}
	var list []map[string]dbus.Variant
	if l.get(config, of, "NameserverData", &list) {
		for _, entry := range list {
			if text, ok := entry["address"].Value().(string); ok {
				if addr, err := netip.ParseAddr(text); err == nil {
					servers = append(servers, netip.AddrPortFrom(addr, 53))
				}
			}
		}
	}
	return servers
}
