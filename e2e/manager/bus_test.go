// What systemd-resolved and NetworkManager know, over D-Bus: the real daemons on a bus of their own.

package manager

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"midstream/e2e/lab"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`

// systemDaemon finds a daemon that the host has, or that e2e/setup.sh has unpacked without installing it.
func systemDaemon(t *testing.T, name string) string {
	t.Helper()
	for _, root := range []string{"/", filepath.Join(lab.Root(t), "build", "daemons")} {
		for _, folder := range []string{"lib/systemd", "usr/lib/systemd", "usr/sbin"} {
			path := filepath.Join(root, folder, name)
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	t.Skipf("there is no %s here, nor in build/daemons", name)
	return ""
}

// bus starts a bus and returns its address.
func (s *stage) bus() string {
	s.t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		s.t.Skip("there is no dbus-daemon")
	}
	socket := filepath.Join(s.Dir, "bus")
	config := filepath.Join(s.Dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile").Start()
	s.Await("the bus", limit, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "unix:path=" + socket
}

// start runs a program that uses the bus.
func (s *stage) onBus(address string, args ...string) *lab.Program {
	s.t.Helper()
	p := s.Command(args...)
	var libraries []string
	for _, folder := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu", "lib/*-linux-gnu/systemd", "usr/lib/*-linux-gnu/systemd"} {
		found, _ := filepath.Glob(filepath.Join(lab.Root(s.t), "build", "daemons", folder))
		libraries = append(libraries, found...)
	}
	p.Env = append(p.Env, "DBUS_SYSTEM_BUS_ADDRESS="+address, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	p.Start()
	return p
}

// discovered leaves the resolvers for others to tell.
func (s *stage) discovered(extra string) {
	s.t.Helper()
	if err := os.WriteFile(s.ConfigFile(), []byte(extra), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func TestResolversComeFromSystemdResolved(t *testing.T) {
	program := systemDaemon(t, "systemd-resolved")
	s := newStage(t)
	s.discovered("")
	address := s.bus()
	// Its user need not exist on this host, but must for it.
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(s.Dir, "passwd")
	if err := os.WriteFile(users, append(passwd, "systemd-resolve:x:0:0::/:/bin/false\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	resolved := s.onBus(address, "unshare", "-m", "sh", "-c",
		`mount --bind "$1" /etc/passwd && mount -t tmpfs none /run/systemd 2>/dev/null || mkdir -p /run/systemd; exec "$0"`, program, users)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	manager := conn.Object("org.freedesktop.resolve1", "/org/freedesktop/resolve1")
	type server struct {
		Family  int32
		Address []byte
	}
	wwan := s.Network("wwan0")
	index, err := net.InterfaceByName("wwan0")
	if err != nil {
		t.Fatal(err)
	}
	four := netip.MustParseAddr(wwan.Resolver()).AsSlice()
	s.Await("systemd-resolved", limit, func() bool {
		select {
		case <-resolved.Ended():
			t.Fatalf("systemd-resolved: %v", resolved.Wait())
		default:
		}
		return manager.Call("org.freedesktop.resolve1.Manager.SetLinkDNS", 0, int32(index.Index), []server{{2, four}}).Err == nil
	})
	s.onBus(address, lab.Build(t, "midstreamd"))
	s.Await("wwan0's resolver", limit, func() bool {
		return slices.Equal(s.interfaces()["wwan0"].Resolvers, []string{wwan.Resolver() + ":53"})
	})
	d := s.download()
	d.on("wlan0")
	s.ctl("migrate", "--to", "wwan0")
	if x := d.on("wwan0"); x.Server != wwan.Content()+":80" && x.Server != "["+wwan.Content6()+"]:80" {
		t.Errorf("%+v", x)
	}
	// A change is heard of.
	other := []server{{2, []byte{10, 77, 2, 99}}}
	if err := manager.Call("org.freedesktop.resolve1.Manager.SetLinkDNS", 0, int32(index.Index), other).Err; err != nil {
		t.Fatal(err)
	}
	s.Await("the other resolver", limit, func() bool {
		return slices.Equal(s.interfaces()["wwan0"].Resolvers, []string{"10.77.2.99:53"})
	})
	d.stop()
}

const profileID = "6f2b9a52-8a3e-4c7c-9a55-2d3f6f1c7a11"

const profile = `[connection]
id=mobile
uuid=` + profileID + `
type=ethernet
interface-name=wwan0
metered=1
[ipv4]
method=manual
address1=%s/24,%s
dns=%s;
route-metric=200
[ipv6]
method=ignore
`

func TestMeteredComesFromNetworkManager(t *testing.T) {
	program := systemDaemon(t, "NetworkManager")
	s := newStage(t)
	s.discovered("")
	address := s.bus()
	wwan := s.Network("wwan0")
	profiles, empty := filepath.Join(s.Dir, "profiles"), filepath.Join(s.Dir, "nm")
	for _, folder := range []string{profiles, empty} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(profile, wwan.Phone(), wwan.Gateway(), wwan.Resolver())
	if err := os.WriteFile(filepath.Join(profiles, "mobile.nmconnection"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.Dir, "nm.conf")
	settings := "[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\nrc-manager=unmanaged\n[keyfile]\npath=" + profiles +
		"\nunmanaged-devices=except:interface-name:wwan0\n[device-wwan0]\nmatch-device=interface-name:wwan0\nmanaged=1\n"
	if err := os.WriteFile(config, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	nm := s.onBus(address, "unshare", "-m", "sh", "-c", `mount --bind /sys /sys; mount -o remount,bind,ro /sys; mount -t tmpfs none /var/lib; mkdir -p /run/NetworkManager; exec "$0" --debug --config "$1" --config-dir "$2" --state-file "$2/state" --pid-file "$2/pid"`,
		program, config, empty)
	// It has taken over what it found; the profile is to be asked for.
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const name = "org.freedesktop.NetworkManager"
	object := conn.Object(name, "/org/freedesktop/NetworkManager")
	activated := await(func() bool {
		var device, connection, active dbus.ObjectPath
		return object.Call(name+".GetDeviceByIpIface", 0, "wwan0").Store(&device) == nil &&
			conn.Object(name, "/org/freedesktop/NetworkManager/Settings").Call(name+".Settings.GetConnectionByUuid", 0, profileID).Store(&connection) == nil &&
			object.Call(name+".ActivateConnection", 0, connection, device, dbus.ObjectPath("/")).Store(&active) == nil
	})
	s.onBus(address, lab.Build(t, "midstreamd"))
	if !activated || !await(func() bool {
		i := s.interfaces()["wwan0"]
		return i.Metered && slices.Equal(i.Resolvers, []string{wwan.Resolver() + ":53"})
	}) {
		out, errors := nm.Output()
		t.Fatalf("%+v\n%s\n%s", s.interfaces()["wwan0"], out, errors)
	}
	if i := s.interfaces()["wlan0"]; !strings.Contains(i.Why, "it is not metered, unlike wwan0") {
		t.Errorf("%+v", i)
	}
}
