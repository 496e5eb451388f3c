// What wpa_supplicant says of radio networks over D-Bus: the signal's level, and whether the access point is being changed
// (wpa_supplicant's D-Bus API). Who is not root, nor of the group netdev, is not answered on most distributions; NetworkManager
// tells of the signal then (bus.go).
package main

import (
	"context"
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

func supplicant(ctx context.Context, conn *dbus.Conn) map[string]manager.Fact {
	facts := map[string]manager.Fact{}
	var all []dbus.ObjectPath
	get(ctx, conn.Object(supplicantName, supplicantPath), supplicantName, "Interfaces", &all)
	for _, path := range all {
		radio := conn.Object(supplicantName, path)
		of := supplicantName + ".Interface"
		var name, state string
		var station dbus.ObjectPath
		if !get(ctx, radio, of, "Ifname", &name) || !get(ctx, radio, of, "State", &state) {
			continue
		}
		f := manager.Fact{Roaming: slices.Contains(roaming, state)}
		if get(ctx, radio, of, "CurrentBSS", &station) && station != "/" {
			var level int16
			if get(ctx, conn.Object(supplicantName, station), supplicantName+".BSS", "Signal", &level) && level < 0 {
				f.Signal = int(level)
			}
		}
		facts[name] = f
	}
	return facts
}
