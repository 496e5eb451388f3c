// What systemd-resolved, NetworkManager and wpa_supplicant know, over D-Bus, and systemd-networkd, in files: the real daemons on a bus of their own.

package manager

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

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
		for _, folder := range []string{"lib/systemd", "usr/lib/systemd", "usr/sbin", "sbin", "usr/bin", "usr/lib/NetworkManager", "usr/libexec"} {
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

// daemonLibraries is where those lie that have been unpacked with the daemons.
func daemonLibraries(t *testing.T) string {
	var libraries []string
	for _, folder := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu", "lib/*-linux-gnu/systemd", "usr/lib/*-linux-gnu/systemd"} {
		found, _ := filepath.Glob(filepath.Join(lab.Root(t), "build", "daemons", folder))
		libraries = append(libraries, found...)
	}
	return strings.Join(libraries, ":")
}

// onBus runs a program that uses the bus.
func (s *stage) onBus(address string, args ...string) *lab.Program {
	s.t.Helper()
	p := s.Command(args...)
	p.Env = append(p.Env, "DBUS_SYSTEM_BUS_ADDRESS="+address, "LD_LIBRARY_PATH="+daemonLibraries(s.t))
	p.Start()
	return p
}

// usersWith is a file of users in which a daemon's own is root: it need not exist on this host, nor may it enter the laboratory's folder.
func (s *stage) usersWith(name string) string {
	s.t.Helper()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.Dir, "passwd")
	if err := os.WriteFile(file, append([]byte(name+":x:0:0::/:/bin/false\n"), passwd...), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
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
	users := s.usersWith("systemd-resolve")
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

// dispatcherHost are the folders of a host with NetworkManager's dispatcher, in a mount namespace: $1 is for what changes in /etc, $2 the script.
const dispatcherHost = `mount -t tmpfs none /var/lib && mount --bind /sys /sys && mount -o remount,bind,ro /sys &&
mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" && mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc &&
mkdir -p /run/NetworkManager /etc/NetworkManager/dispatcher.d && cp "$2" /etc/NetworkManager/dispatcher.d/ && echo ready && exec sleep 600`

// By its D-Bus interface, where midstreamd runs, and by the script that its dispatcher calls, where none does.
func TestWhatNetworkManagerKnows(t *testing.T) {
	program, dispatcher := systemDaemon(t, "NetworkManager"), systemDaemon(t, "nm-dispatcher")
	s := newStage(t)
	s.discovered("")
	address := s.bus()
	wwan := s.Network("wwan0")
	profiles, empty, changes, tools := filepath.Join(s.Dir, "profiles"), filepath.Join(s.Dir, "nm"), filepath.Join(s.Dir, "etc"), filepath.Join(s.Dir, "tools")
	for _, folder := range []string{profiles, empty, changes, tools} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(s.root, "check")
	write(page, "NetworkManager is online\n", 0o644)
	write(filepath.Join(profiles, "mobile.nmconnection"), fmt.Sprintf(profile, wwan.Phone(), wwan.Gateway(), wwan.Resolver()), 0o600)
	config := filepath.Join(s.Dir, "nm.conf")
	write(config, "[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\nrc-manager=unmanaged\n[keyfile]\npath="+profiles+
		"\nunmanaged-devices=except:interface-name:wwan0,except:interface-name:docker0\n[device-wwan0]\nmatch-device=interface-name:wwan0\nmanaged=1\n"+
		"[connectivity]\nenabled=true\ninterval=3600\nuri=http://"+wwan.Content()+"/check\nresponse=NetworkManager is online\n", 0o644)
	// The dispatcher hands neither the bus nor the libraries on.
	nmcli := systemDaemon(t, "nmcli")
	write(filepath.Join(tools, "nmcli"), "#!/bin/sh\nexport DBUS_SYSTEM_BUS_ADDRESS="+address+" LD_LIBRARY_PATH="+daemonLibraries(t)+"\nexec "+nmcli+" \"$@\"\n", 0o755)
	write(filepath.Join(tools, "midstreamctl"), "#!/bin/sh\nunset MIDSTREAM_RUNTIME_DIR XDG_RUNTIME_DIR\nexec "+lab.Build(t, "midstreamctl")+" \"$@\"\n", 0o755)
	folders := s.Command("unshare", "-m", "sh", "-c", dispatcherHost, "sh", changes, filepath.Join(lab.Root(t), "package", "90-midstream"))
	folders.Start()
	s.Await("the folders", limit, func() bool { out, _ := folders.Output(); return out != "" })
	within := func(args ...string) []string {
		return append([]string{"env", "PATH=" + tools + ":" + os.Getenv("PATH"), "nsenter", "-t", fmt.Sprint(folders.Pid()), "-m"}, args...)
	}
	t.Cleanup(func() { os.RemoveAll("/run/midstream") })
	s.onBus(address, within(dispatcher, "--persist", "--debug")...)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Await("the dispatcher", limit, func() bool {
		var has bool
		return conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.nm_dispatcher").Store(&has) == nil && has
	})
	t.Cleanup(func() { exec.Command("ip", "link", "delete", "docker0").Run() })                                                              // the laboratory ends what it has made itself
	for _, line := range []string{"ip link add docker0 type bridge", "ip address add 172.17.0.1/16 dev docker0", "ip link set docker0 up"} { // as a container's keeper does
		if r := s.Command(strings.Fields(line)...).Run(); r.Status != 0 {
			t.Fatal(r)
		}
	}
	nm := s.onBus(address, within(program, "--debug", "--config", config, "--config-dir", empty, "--state-file", filepath.Join(empty, "state"), "--pid-file", filepath.Join(empty, "pid"))...)
	// It has taken over what it found; the profile is to be asked for.
	const name = "org.freedesktop.NetworkManager"
	object := conn.Object(name, "/org/freedesktop/NetworkManager")
	activated := await(func() bool {
		var device, connection, active dbus.ObjectPath
		return object.Call(name+".GetDeviceByIpIface", 0, "wwan0").Store(&device) == nil &&
			conn.Object(name, "/org/freedesktop/NetworkManager/Settings").Call(name+".Settings.GetConnectionByUuid", 0, profileID).Store(&connection) == nil &&
			object.Call(name+".ActivateConnection", 0, connection, device, dbus.ObjectPath("/")).Store(&active) == nil
	})
	byScript := func(name string) iface {
		var list []iface
		r := s.Command(within("midstreamctl", "interfaces", "--json")...).Run()
		if json.Unmarshal([]byte(r.Stdout), &list) != nil {
			return iface{}
		}
		return list[slices.IndexFunc(list, func(i iface) bool { return i.Name == name })]
	}
	log := filepath.Join(s.Dir, "midstreamd.log")
	s.onBus(address, "env", "MIDSTREAM_LOG=debug", "MIDSTREAM_LOG_FILE="+log, lab.Build(t, "midstreamd"))
	if !activated || !await(func() bool {
		i, found := s.interfaces()["wwan0"], byScript("wwan0")
		return i.Metered && i.Provider == "mobile" && slices.Equal(i.Resolvers, []string{wwan.Resolver() + ":53"}) && found.Metered && found.Provider == "mobile"
	}) {
		out, errors := nm.Output()
		t.Fatalf("%+v\n%+v\n%s\n%s", s.interfaces()["wwan0"], byScript("wwan0"), out, errors)
	}
	if i := s.interfaces()["wlan0"]; !strings.Contains(i.Why, "it is not metered, unlike wwan0") {
		t.Errorf("%+v", i)
	}
	// What others have set up is shown by NetworkManager, too, and is no network of its.
	state := s.Command(filepath.Join(tools, "nmcli"), "-g", "GENERAL.STATE", "device", "show", "docker0").Run()
	if !strings.Contains(state.Stdout, "externally") {
		t.Errorf("of docker0 it says: %v", state)
	}
	if facts := string(s.daemonSays("facts")); strings.Contains(facts, "docker0") || len(byScript("docker0").Hints) > 0 {
		t.Errorf("%s\n%+v", facts, byScript("docker0"))
	}
	// A portal comes, and goes.
	for _, captive := range []bool{true, false} {
		write(page, map[bool]string{true: "Log in here, please.\n", false: "NetworkManager is online\n"}[captive], 0o644)
		object.Go(name+".CheckConnectivity", 0, nil) // its answer waits for wlan0, from where the page cannot be had
		if !await(func() bool { return s.interfaces()["wwan0"].Captive == captive && byScript("wwan0").Captive == captive }) {
			t.Errorf("captive is not %v\n%+v\n%+v", captive, s.interfaces()["wwan0"], byScript("wwan0"))
		}
	}
	// While it does not answer, what it has said holds. It tells of an MTU at once, and is asked half a second later.
	if err := conn.AddMatchSignal(dbus.WithMatchSender(name), dbus.WithMatchArg(0, name+".Device")); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 1024)
	conn.Signal(signals)
	if r := s.Command("ip", "link", "set", "wwan0", "mtu", "1400").Run(); r.Status != 0 {
		t.Fatal(r)
	}
	for changed := false; !changed; {
		select {
		case signal := <-signals:
			changed = strings.Contains(fmt.Sprint(signal.Body), "Mtu")
		case <-time.After(limit):
			t.Fatal("NetworkManager does not tell of an MTU")
		}
	}
	nm.Process.Signal(syscall.SIGSTOP)
	s.Await("that it is silent", limit, func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "it does not answer")
	})
	if i := s.interfaces()["wwan0"]; !i.Metered || i.Provider != "mobile" {
		t.Errorf("while NetworkManager is silent: %+v", i)
	}
	nm.Process.Signal(syscall.SIGCONT)
	// What the script has found ends with the connection.
	if r := s.Command(filepath.Join(tools, "nmcli"), "connection", "down", profileID).Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.Await("no hints", limit, func() bool { return len(byScript("wwan0").Hints) == 0 })
}

// It keeps what it knows of name servers in files, and tells nobody of changes.
func TestResolversComeFromSystemdNetworkd(t *testing.T) {
	program := systemDaemon(t, "systemd-networkd")
	s := newStage(t)
	s.discovered("")
	address := s.bus()
	const folder = "/run/systemd/network" // /run is the laboratory's
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/run/systemd") })
	text := "[Match]\nName=wwan0\n[Network]\nKeepConfiguration=yes\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nDNS=" + s.Network("wwan0").Resolver() + "\n"
	if err := os.WriteFile(filepath.Join(folder, "10-wwan0.network"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.onBus(address, lab.Build(t, "midstreamd"))
	s.Await("midstreamd", limit, func() bool { _, err := os.Stat(filepath.Join(s.RuntimeDir(), "midstreamd.sock")); return err == nil })
	daemon := s.onBus(address, "unshare", "-m", "sh", "-c", `mount --bind "$1" /etc/passwd && mount --bind /sys /sys && mount -o remount,bind,ro /sys; exec "$0"`,
		program, s.usersWith("systemd-network"))
	index, err := net.InterfaceByName("wwan0")
	if err != nil {
		t.Fatal(err)
	}
	knows := func() []string {
		var facts map[string]struct{ Resolvers []string }
		json.Unmarshal(s.daemonSays("facts"), &facts)
		return facts["wwan0"].Resolvers
	}
	if !await(func() bool {
		state, _ := os.ReadFile(fmt.Sprint("/run/systemd/netif/links/", index.Index))
		return slices.Equal(knows(), []string{s.Network("wwan0").Resolver() + ":53"}) && strings.Contains(string(state), "ADMIN_STATE=configured")
	}) {
		out, errors := daemon.Output()
		t.Fatalf("%+v\n%s\n%s", s.interfaces()["wwan0"], out, errors)
	}
	// A change that the kernel knows nothing of.
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	type server struct {
		Family  int32
		Address []byte
	}
	if err := conn.Object("org.freedesktop.network1", "/org/freedesktop/network1").
		Call("org.freedesktop.network1.Manager.SetLinkDNS", 0, int32(index.Index), []server{{2, []byte{10, 77, 2, 99}}}).Err; err != nil {
		t.Fatal(err)
	}
	if !await(func() bool { return slices.Equal(knows(), []string{"10.77.2.99:53"}) }) {
		t.Errorf("the daemon knows of %v", knows())
	}
}

// daemonSays is what midstreamd answers: midstreamctl looks at files itself.
func (s *stage) daemonSays(method string) json.RawMessage {
	s.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(s.RuntimeDir(), "midstreamd.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":1,"method":%q}`+"\n", method)
	var answer struct{ Result json.RawMessage }
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Result
}

// With the real daemon as far as it goes without a radio: a wired network that asks for authentication is in the states of one that roams.
func TestWpaSupplicantIsHeard(t *testing.T) {
	program := systemDaemon(t, "wpa_supplicant")
	s := newStage(t)
	s.discovered("")
	address := s.bus()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.onBus(address, lab.Build(t, "midstreamd"))
	daemon := s.onBus(address, program, "-u", "-d")
	const name = "fi.w1.wpa_supplicant1"
	var path, network dbus.ObjectPath
	object := conn.Object(name, "/fi/w1/wpa_supplicant1")
	create := map[string]dbus.Variant{"Ifname": dbus.MakeVariant("wwan0"), "Driver": dbus.MakeVariant("wired")}
	login := map[string]dbus.Variant{"key_mgmt": dbus.MakeVariant("IEEE8021X"), "eap": dbus.MakeVariant("MD5"), "identity": dbus.MakeVariant("a"), "password": dbus.MakeVariant("b")}
	roams := func() bool { return s.interfaces()["wwan0"].Roaming }
	if !await(func() bool { return object.Call(name+".CreateInterface", 0, create).Store(&path) == nil }) {
		out, errors := daemon.Output()
		t.Fatalf("%s\n%s", out, errors)
	}
	wired := conn.Object(name, path)
	if err := wired.Call(name+".Interface.AddNetwork", 0, login).Store(&network); err != nil {
		t.Fatal(err)
	}
	if err := wired.Call(name+".Interface.SelectNetwork", 0, network).Err; err != nil {
		t.Fatal(err)
	}
	if !await(roams) {
		out, errors := daemon.Output()
		t.Fatalf("%+v\n%s\n%s", s.interfaces(), out, errors)
	}
	if err := wired.Call(name+".Interface.RemoveNetwork", 0, network).Err; err != nil {
		t.Fatal(err)
	}
	s.Await("the end of it", limit, func() bool { return !roams() })
}

// A stand-in, for there is no radio here: a rule on the signal's level moves a download as that falls.
func TestADownloadLeavesAWeakSignal(t *testing.T) {
	s := newStage(t)
	s.Configure("[[policy.rules]]\nwhen = 'wlan0.signal < -80 && !wlan0.roaming'\nuse = 'wwan0'\n")
	address := s.bus()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const name = "fi.w1.wpa_supplicant1"
	properties := map[dbus.ObjectPath]*prop.Properties{}
	for path, of := range map[dbus.ObjectPath]map[string]map[string]any{
		"/fi/w1/wpa_supplicant1":              {name: {"Interfaces": []dbus.ObjectPath{"/fi/w1/wpa_supplicant1/Interfaces/0"}}},
		"/fi/w1/wpa_supplicant1/Interfaces/0": {name + ".Interface": {"Ifname": "wlan0", "State": "completed", "CurrentBSS": dbus.ObjectPath("/fi/w1/wpa_supplicant1/BSSs/7")}},
		"/fi/w1/wpa_supplicant1/BSSs/7":       {name + ".BSS": {"Signal": int16(-60)}},
	} {
		all := prop.Map{}
		for face, values := range of {
			all[face] = map[string]*prop.Prop{}
			for key, value := range values {
				all[face][key] = &prop.Prop{Value: value, Emit: prop.EmitTrue}
			}
		}
		if properties[path], err = prop.Export(conn, path, all); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	s.onBus(address, lab.Build(t, "midstreamd"))
	signal := func(dBm int) {
		t.Helper()
		s.Await(fmt.Sprint(dBm, " dBm"), limit, func() bool { return s.interfaces()["wlan0"].Signal == dBm })
	}
	signal(-60)
	d := s.download()
	d.on("wlan0")
	properties["/fi/w1/wpa_supplicant1/BSSs/7"].SetMust(name+".BSS", "Signal", int16(-88))
	signal(-88)
	d.on("wwan0")
	d.stop()
}
