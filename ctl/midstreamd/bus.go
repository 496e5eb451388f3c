// What systemd-resolved and NetworkManager say over D-Bus, where they run: org.freedesktop.resolve1(5) and the
// NetworkManager D-Bus reference. The daemon alone asks: the library would cost every program memory.
package main

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/godbus/dbus/v5"

	"midstream/core/manager"
)

const (
	resolvedName = "org.freedesktop.resolve1"
	resolvedPath = "/org/freedesktop/resolve1"
	networkName  = "org.freedesktop.NetworkManager"
	networkPath  = "/org/freedesktop/NetworkManager"
	properties   = "org.freedesktop.DBus.Properties"

	busRetry = 30 * time.Second
	busAgain = 30 * time.Second
	busLimit = 3 * time.Second // for one answer
	settle   = 50 * time.Millisecond
	busPause = 500 * time.Millisecond // between two looks: who scans for access points tells of each
)

// followBus keeps d.system current until ctx ends. Without a system bus it tries again now and then.
func (d *daemon) followBus(ctx context.Context) {
	for ctx.Err() == nil {
		if conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx)); err == nil {
			d.serveBus(ctx, conn)
			conn.Close()
		} else {
			d.log.Debug().Err(err).Msg("no system bus")
		}
		select {
		case <-ctx.Done():
		case <-time.After(busRetry):
		}
	}
}

func (d *daemon) serveBus(ctx context.Context, conn *dbus.Conn) {
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	for _, sender := range []string{resolvedName, networkName, supplicantName} {
		conn.AddMatchSignal(dbus.WithMatchSender(sender))
		conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, sender))
	}
	for {
		looked := time.Now()
		facts := map[string]manager.Fact{}
		manager.Merge(facts, resolved(ctx, conn))
		manager.Merge(facts, supplicant(ctx, conn))
		manager.Merge(facts, networkManager(ctx, conn))
		d.mu.Lock()
		d.system = facts
		d.mu.Unlock()
		d.lookSoon()
		select {
		case <-ctx.Done():
			return
		case <-conn.Context().Done():
			return
		case _, open := <-signals:
			if !open {
				return // the bus has gone
			}
		case <-time.After(busAgain): // systemd-resolved does not tell of every change
		}
		// Changes come in bursts; one look serves them all.
		burst := time.After(max(settle, busPause-time.Since(looked)))
		for waiting := true; waiting; {
			select {
			case _, open := <-signals:
				if !open {
					return
				}
			case <-burst:
				waiting = false
			}
		}
	}
}

// get reads a property into value; false where there is none of that type.
func get(ctx context.Context, object dbus.BusObject, of, name string, value any) bool {
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	var v dbus.Variant
	err := object.CallWithContext(ctx, properties+".Get", dbus.FlagNoAutoStart, of, name).Store(&v)
	return err == nil && v.Store(value) == nil
}

// known are the properties of an object.
type known map[string]dbus.Variant

// all reads those of one interface in one call; none where there are none.
func all(ctx context.Context, object dbus.BusObject, of string) (k known) {
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	object.CallWithContext(ctx, properties+".GetAll", dbus.FlagNoAutoStart, of).Store(&k)
	return k
}

// read is get of what is known.
func (k known) read(name string, value any) bool {
	v, ok := k[name]
	return ok && v.Store(value) == nil
}

// resolved asks systemd-resolved for the name servers of each link.
func resolved(ctx context.Context, conn *dbus.Conn) map[string]manager.Fact {
	object := conn.Object(resolvedName, resolvedPath)
	of := resolvedName + ".Manager"
	facts := map[string]manager.Fact{}
	add := func(index int32, octets []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(octets)
		link, err := net.InterfaceByIndex(int(index))
		if !ok || index <= 0 || err != nil {
			return // index 0 is for the servers of no link
		}
		if port == 0 {
			port = 53
		}
		f := facts[link.Name]
		f.Resolvers = append(f.Resolvers, netip.AddrPortFrom(addr, port))
		facts[link.Name] = f
	}
	var extended []struct {
		Index, Family int32
		Address       []byte
		Port          uint16
		Name          string
	}
	if get(ctx, object, of, "DNSEx", &extended) {
		for _, s := range extended {
			add(s.Index, s.Address, s.Port)
		}
		return facts
	}
	var plain []struct {
		Index, Family int32
		Address       []byte
	}
	if get(ctx, object, of, "DNS", &plain) {
		for _, s := range plain {
			add(s.Index, s.Address, 0)
		}
	}
	return facts
}

// networkManager asks NetworkManager for what it knows of each device.
func networkManager(ctx context.Context, conn *dbus.Conn) map[string]manager.Fact {
	facts := map[string]manager.Fact{}
	limited, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	var devices []dbus.ObjectPath
	if conn.Object(networkName, networkPath).CallWithContext(limited, networkName+".GetDevices", dbus.FlagNoAutoStart).Store(&devices) != nil {
		return facts
	}
	for _, path := range devices {
		device := conn.Object(networkName, path)
		known := all(ctx, device, networkName+".Device")
		var name string
		var metered, state uint32
		if !known.read("Interface", &name) || known.read("State", &state) && state <= unmanaged {
			continue // of containers, for example
		}
		var f manager.Fact
		if known.read("Metered", &metered) {
			f.Metered = meteredOf(metered)
		}
		var active dbus.ObjectPath
		if known.read("ActiveConnection", &active) && active != "/" {
			get(ctx, conn.Object(networkName, active), networkName+".Connection.Active", "Id", &f.Provider)
		}
		f.Signal = strength(ctx, conn, device)
		for _, family := range []string{"4", "6"} {
			var connectivity uint32
			if known.read("Ip"+family+"Connectivity", &connectivity) && connectivity == portal {
				f.Captive = true
			}
			var config dbus.ObjectPath
			if known.read("Ip"+family+"Config", &config) && config != "/" {
				f.Resolvers = append(f.Resolvers, nameservers(ctx, conn.Object(networkName, config), family)...)
			}
		}
		facts[name] = f
	}
	return facts
}

// unmanaged is NM_DEVICE_STATE_UNMANAGED.
const unmanaged = 10

// portal is NM_CONNECTIVITY_PORTAL of NMConnectivityState. Of the others nothing follows: a network from which the page that is asked for
// cannot be had, NM_CONNECTIVITY_LIMITED, may lead to the server of a download all the same.
const portal = 2

// strength is the signal of a Wi-Fi device's access point in dBm, 0 where it has none: NetworkManager makes 100 % of -40 dBm and more,
// and 30 % of -100 dBm.
func strength(ctx context.Context, conn *dbus.Conn, device dbus.BusObject) int {
	var station dbus.ObjectPath
	var percent byte
	if !get(ctx, device, networkName+".Device.Wireless", "ActiveAccessPoint", &station) || station == "/" ||
		!get(ctx, conn.Object(networkName, station), networkName+".AccessPoint", "Strength", &percent) || percent == 0 {
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

func nameservers(ctx context.Context, config dbus.BusObject, family string) (servers []netip.AddrPort) {
	of := networkName + ".IP" + family + "Config"
	if family == "6" {
		var list [][]byte
		if get(ctx, config, of, "Nameservers", &list) {
			for _, octets := range list {
				if addr, ok := netip.AddrFromSlice(octets); ok {
					servers = append(servers, netip.AddrPortFrom(addr, 53))
				}
			}
		}
		return servers
	}
	var list []map[string]dbus.Variant
	if get(ctx, config, of, "NameserverData", &list) {
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
