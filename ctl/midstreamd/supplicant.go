// What wpa_supplicant says of radio networks over D-Bus: the signal's level, and whether the access point is being changed
// (wpa_supplicant's D-Bus API). Who is not root, nor of the group netdev, is not answered on most distributions; NetworkManager
// tells of the signal then (networkmanager.go).
package main

import (
	"slices"

	"github.com/godbus/dbus/v5"

	"midstream/core/manager"
)

const (
	supplicantName = "fi.w1.wpa_supplicant1"
	supplicantPath = "/fi/w1/wpa_supplicant1"
)

// roaming are the states in which it goes from one access point to the next.
var roaming = []string{"authenticating", "associating", "associated", "4way_handshake", "group_handshake"}

func supplicant(l *look) map[string]manager.Fact {
	facts := map[string]manager.Fact{}
	var radios []dbus.ObjectPath
	l.get(supplicantPath, supplicantName, "Interfaces", &radios)
	for _, radio := range radios {
		of := supplicantName + ".Interface"
		var name, state string
		var station dbus.ObjectPath
		if !l.get(radio, of, "Ifname", &name) || !l.get(radio, of, "State", &state) {
			continue
		}
		f := manager.Fact{Roaming: slices.Contains(roaming, state)}
		if l.get(radio, of, "CurrentBSS", &station) && station != "/" {
			var level int16
			if l.get(station, supplicantName+".BSS", "Signal", &level) && level < 0 {
				f.Signal = int(level)
			}
		}
		facts[name] = f
	}
	return facts
}
