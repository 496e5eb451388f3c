// What is made of what daemons say on a bus: a real bus, on which stand-ins say it, or do not.
package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/manager"
)

// aBus is the address of a bus of the test's own.
func aBus(t *testing.T) string {
	t.Helper()
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1")
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	bus.Stderr = os.Stderr
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Process.Kill(); bus.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// standIn is a daemon on the bus; while it is silent, it is asked and does not answer.
type standIn struct {
	t      *testing.T
	conn   *dbus.Conn
	name   string
	mu     sync.Mutex
	values map[dbus.ObjectPath]map[string]map[string]any
	silent chan struct{}
	asked  int
}

// object is one of a stand-in's.
type object struct {
	*standIn
	path dbus.ObjectPath
}

func (o object) GetAll(of string) (map[string]dbus.Variant, *dbus.Error) {
	o.mu.Lock()
	o.asked++
	silent := o.silent
	all := map[string]dbus.Variant{}
	for key, value := range o.values[o.path][of] {
		all[key] = dbus.MakeVariant(value)
	}
	o.mu.Unlock()
	if silent != nil {
		<-silent
	}
	return all, nil
}

func (o object) Get(of, name string) (v dbus.Variant, _ *dbus.Error) {
	all, _ := o.GetAll(of)
	v, ok := all[name]
	if !ok {
		return v, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
	}
	return v, nil
}

// GetDevices is NetworkManager's.
func (o object) GetDevices() ([]dbus.ObjectPath, *dbus.Error) {
	all, _ := o.GetAll(networkName)
	devices, _ := all["AllDevices"].Value().([]dbus.ObjectPath)
	return devices, nil
}

// comes takes the name.
func (s *standIn) comes() {
	s.t.Helper()
	if _, err := s.conn.RequestName(s.name, dbus.NameFlagDoNotQueue); err != nil {
		s.t.Fatal(err)
	}
}

// tells changes something, and tells of it.
func (s *standIn) tells(change func()) {
	s.t.Helper()
	s.mu.Lock()
	change()
	s.mu.Unlock()
	if err := s.conn.Emit("/", properties+".PropertiesChanged"); err != nil {
		s.t.Fatal(err)
	}
}

func aStandIn(t *testing.T, address, name string, values map[dbus.ObjectPath]map[string]map[string]any) *standIn {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &standIn{t: t, conn: conn, name: name, values: values}
	for path := range values {
		for _, of := range []string{properties, networkName} {
			if err := conn.Export(object{s, path}, path, of); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.comes()
	return s
}

// logged are lines of a log, as many as there is room for.
type logged chan string

func (l logged) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// A daemon that does not answer delays no other, and what it has said of what costs money holds, until it is known to have gone.
func TestWhoDoesNotAnswerOnTheBusHasNotGone(t *testing.T) {
	busLimit, silentWait, goneGrace = 300*time.Millisecond, 100*time.Millisecond, time.Second
	address := aBus(t)
	yes, no := uint32(1), uint32(2)
	const device, active, docker, shown = networkPath + "/Devices/2", networkPath + "/ActiveConnection/2", networkPath + "/Devices/3", networkPath + "/ActiveConnection/3"
	network := aStandIn(t, address, networkName, map[dbus.ObjectPath]map[string]map[string]any{
		networkPath: {networkName: {"AllDevices": []dbus.ObjectPath{device, docker}, "Startup": false}},
		device:      {networkName + ".Device": {"Interface": "wwan0", "State": uint32(100), "Metered": yes, "ActiveConnection": dbus.ObjectPath(active)}},
		active:      {networkName + ".Connection.Active": {"Id": "mobile", "StateFlags": uint32(0x4c)}},
		docker:      {networkName + ".Device": {"Interface": "docker0", "State": uint32(100), "Metered": uint32(4), "ActiveConnection": dbus.ObjectPath(shown)}},
		shown:       {networkName + ".Connection.Active": {"Id": "docker0", "StateFlags": uint32(0xcc)}},
	})
	radio := aStandIn(t, address, supplicantName, map[dbus.ObjectPath]map[string]map[string]any{
		supplicantPath:        {supplicantName: {"Interfaces": []dbus.ObjectPath{supplicantPath + "/0"}}},
		supplicantPath + "/0": {supplicantName + ".Interface": {"Ifname": "wlan0", "State": "completed"}},
	})

	lines := make(logged, 100)
	d := newDaemon(config.Default(), t.TempDir(), zerolog.New(lines))
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.serveBus(ctx, conn); close(ended) }()
	t.Cleanup(func() { stop(); <-ended; conn.Close() })
	known := func() map[string]manager.Fact {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.facts(d.common)
	}
	metered := func() bool { m := known()["wwan0"].Metered; return m != nil && *m }
	await := func(what string, condition func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s does not come: %+v", what, known())
			}
		}
	}
	asked := func() int {
		network.mu.Lock()
		defer network.mu.Unlock()
		return network.asked
	}
	// further asks it so often again.
	further := func(times int) func() bool {
		before := asked()
		return func() bool { return asked() >= before+times }
	}

	said := func(words, of string) func() bool {
		return func() bool {
			select {
			case line := <-lines:
				return strings.Contains(line, words) && strings.Contains(line, of)
			default:
				return false
			}
		}
	}

	await("what is metered", metered)
	if f, has := known()["docker0"]; has || known()["wwan0"].Provider != "mobile" {
		t.Errorf("%+v, %+v", f, known()["wwan0"])
	}
	network.tells(func() { network.silent = make(chan struct{}) })
	await("two looks that are not answered", further(2))
	radio.tells(func() { radio.values[supplicantPath+"/0"][supplicantName+".Interface"]["State"] = "associating" })
	await("the roaming", func() bool { return known()["wlan0"].Roaming })
	await("a third", further(1))
	if !metered() {
		t.Error("a network is no longer metered, for NetworkManager does not answer")
	}

	// It answers again.
	network.tells(func() {
		close(network.silent)
		network.silent = nil
		network.values[device][networkName+".Device"]["Metered"] = no
	})
	await("that it is not metered", func() bool { return !metered() })
	network.tells(func() { network.values[device][networkName+".Device"]["Metered"] = yes })
	await("that it is metered again", metered)

	// It is started again, and does not know everything at once.
	if _, err := network.conn.ReleaseName(networkName); err != nil {
		t.Fatal(err)
	}
	network.tells(func() {
		network.values[networkPath][networkName] = map[string]any{"AllDevices": []dbus.ObjectPath{docker}, "Startup": true}
	})
	await("that it has gone", said("until it might be back", networkName))
	for _, again := range []func(){network.comes, func() { network.tells(func() {}) }} { // a second look follows when what the first has found is known
		looked := further(3)
		again()
		await("a look at the new one", looked)
	}
	if !metered() {
		t.Error("a network is no longer metered, for NetworkManager was started again")
	}
	network.tells(func() { network.values[networkPath][networkName]["Startup"] = false })
	await("that there is no such device", func() bool { return !slices.Contains(names(known()), "wwan0") })

	// And it goes for good.
	network.tells(func() { network.values[networkPath][networkName]["AllDevices"] = []dbus.ObjectPath{device} })
	await("that it is metered once more", metered)
	if _, err := network.conn.ReleaseName(networkName); err != nil {
		t.Fatal(err)
	}
	await("that nobody says so", func() bool { return !metered() })
}

func names(facts map[string]manager.Fact) (all []string) {
	for name := range facts {
		all = append(all, name)
	}
	return all
}
