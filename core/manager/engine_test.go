package manager

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/core/config"
	"midstream/core/netif"
)

// world is an engine with a clock of its own and two or three interfaces.
type world struct {
	*Engine
	t     *testing.T
	clock time.Time
	links []netif.Interface
	s     Stream
	asker Asker
}

func newWorld(t *testing.T, text string, names ...string) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: time.Unix(1e9, 0)}
	w.Engine = New(cfg, func() time.Time { return w.clock })
	w.links = append(w.links, netif.Interface{Name: "lo", Index: 1, Up: true, Carrier: true, Loopback: true, Kind: KindLoopback, V4: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	for i, name := range names {
		w.links = append(w.links, netif.Interface{
			Name: name, Index: i + 2, Up: true, Carrier: true, Kind: KindEthernet,
			V4:       []netip.Addr{netip.AddrFrom4([4]byte{10, 77, byte(i + 1), 2})},
			Defaults: []netif.DefaultRoute{{Via: netip.AddrFrom4([4]byte{10, 77, byte(i + 1), 1}), Metric: 100 * (i + 1)}},
		})
	}
	w.relink()
	w.s = Stream{ID: "7-1", PID: 7, Command: "curl http://x/f", Host: "x", Port: 80, Interface: names[0], Active: true,
		Movable: true, Length: 1e9, Received: 1000}
	return w
}

func (w *world) relink() { w.Links(append([]netif.Interface(nil), w.links...)) }

func (w *world) carrier(name string, on bool) {
	for i := range w.links {
		if w.links[i].Name == name {
			w.links[i].Carrier = on
		}
	}
	w.relink()
}

// look reports the stream and returns where it is to go, "" if nowhere; moved makes it go there.
func (w *world) look() (to string, v Verdict) {
	w.Report(7, []Stream{w.s}, nil)
	v = w.Evaluate(w.asker)
	for _, d := range v.Decisions {
		to = d.To
	}
	return to, v
}

func (w *world) moved(to string) {
	w.s.Interface, w.s.Moved = to, w.clock
	w.Outcome(w.s.ID, to, nil)
}

func (w *world) expect(what, want string) Verdict {
	w.t.Helper()
	to, v := w.look()
	if to != want {
		w.t.Errorf("%s: moved to %q, want %q (%+v)", what, to, want, v)
	}
	if to != "" {
		w.moved(to)
	}
	return v
}

func (w *world) hint(name, key, value string, expires time.Time) {
	d := w.Directives()
	d.Tell(name, Hint{Key: key, Value: value, At: w.clock, Expires: expires})
	w.Direct(d)
}

func TestNothingMovesForBetterWithoutAReason(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	w.s.Interface = "wwan0" // though the kernel prefers wlan0
	w.expect("by default", "")
	if got := strings.Join(w.Order(w.s), " "); got != "wlan0 wwan0" {
		t.Errorf("order %s", got)
	}
	if w.Order(Stream{Interface: "lo"}) != nil {
		t.Error("a stream over the loopback interface has somewhere to go")
	}
}

func TestMeteredCaptiveCostAndHintsAreReasons(t *testing.T) {
	for name, prepare := range map[string]func(*world){
		"metered":    func(w *world) { w.hint("wlan0", "metered", "true", time.Time{}) },
		"captive":    func(w *world) { w.Captive("wlan0", true) },
		"cost":       func(w *world) { w.hint("wlan0", "cost", "2", time.Time{}) },
		"congestion": func(w *world) { w.hint("wlan0", "congestion", "0.9", time.Time{}) },
		"preferred":  func(w *world) { w.hint("wwan0", "preferred", "true", time.Time{}) },
		"free":       func(w *world) { w.hint("wwan0", "free", "true", time.Time{}) },
		"performance": func(w *world) {
			w.hint("wlan0", "performance", "1M", time.Time{})
			w.hint("wwan0", "performance", "40M", time.Time{})
		},
	} {
		w := newWorld(t, "", "wlan0", "wwan0")
		prepare(w)
		w.expect(name, "wwan0")
	}
}

// Where the other interface costs more, none of these is reason enough, but what the user has said.
func TestNothingMovesForBetterToWhereItCosts(t *testing.T) {
	reasons := map[string]func(*world){
		"congestion": func(w *world) { w.hint("wlan0", "congestion", "0.9", time.Time{}) },
		"performance": func(w *world) {
			w.hint("wlan0", "performance", "1M", time.Time{})
			w.hint("wwan0", "performance", "40M", time.Time{})
		},
		"captive":   func(w *world) { w.Captive("wlan0", true) },
		"preferred": func(w *world) { w.hint("wwan0", "preferred", "true", time.Time{}) },
		"prefer":    func(*world) {},
	}
	for name, prepare := range reasons {
		for key, value := range map[string]string{"metered": "true", "cost": "2"} {
			text, want := "", ""
			if name == "prefer" {
				text = "[policy]\nprefer = [\"wwan0\"]\n"
			}
			if name == "captive" || strings.HasPrefix(name, "prefer") {
				want = "wwan0"
			}
			w := newWorld(t, text, "wlan0", "wwan0")
			w.hint("wwan0", key, value, time.Time{})
			prepare(w)
			w.expect(name+", "+key, want)
		}
	}
}

func TestWhatAPersonHasMovedStays(t *testing.T) {
	w := newWorld(t, "[policy]\ndwell = \"0s\"\nprefer = [\"wlan0\"]\n[[policy.rules]]\nwhen = 'wlan0.carrier'\nuse = \"wlan0\"\n"+
		"[[policy.rules]]\nwhen = 'wwan0.cost > 5'\navoid = \"wwan0\"\n", "wlan0", "wwan0")
	w.s.Interface, w.s.Held = "wwan0", true
	w.expect("held", "")
	w.hint("wwan0", "cost", "6", time.Time{})
	w.expect("held where the configuration forbids it", "wlan0")
	w.hint("wwan0", "cost", "0", time.Time{})
	w.s.Interface = "wwan0"
	w.Captive("wwan0", true)
	w.expect("held where nothing can be reached", "wlan0")
	w.s.Interface, w.s.Held = "wwan0", false
	w.Captive("wwan0", false)
	w.expect("held no longer", "wlan0")
}

func TestCaptivityEndsWithTheAddress(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	w.Captive("wlan0", true)
	w.relink()
	if i, _ := w.Interface("wlan0"); !i.Captive {
		t.Error("forgotten at once")
	}
	w.links[1].V4 = []netip.Addr{netip.MustParseAddr("10.1.1.1")}
	w.relink()
	if i, _ := w.Interface("wlan0"); i.Captive {
		t.Error("kept for another network")
	}
}

func TestPreferredInterfaceIsUsedAgainOnceItHasStayedForDwell(t *testing.T) {
	w := newWorld(t, "[policy]\nprefer = [\"wlan0\", \"wwan0\"]\ndwell = \"10s\"", "wlan0", "wwan0")
	w.carrier("wlan0", false)
	w.s.Interface, w.s.Moved = "wwan0", w.clock // by failover
	w.clock = w.clock.Add(20 * time.Second)
	w.expect("without carrier", "")
	w.carrier("wlan0", true)
	v := w.expect("just back", "")
	if len(v.Declined) != 1 || !strings.Contains(v.Declined[0].Reason, "has not been usable for 10s") {
		t.Errorf("declined %+v", v.Declined)
	}
	if v = w.expect("still", ""); len(v.Declined) != 0 {
		t.Errorf("told twice: %+v", v.Declined)
	}
	w.clock = w.clock.Add(10 * time.Second)
	w.expect("after dwell", "wlan0")
}

func TestFlappingInterfaceIsNotFollowed(t *testing.T) {
	w := newWorld(t, "[policy]\nprefer = [\"wlan0\", \"wwan0\"]\ndwell = \"10s\"", "wlan0", "wwan0")
	w.s.Interface, w.s.Moved = "wwan0", w.clock
	for range 5 {
		w.carrier("wlan0", false)
		w.clock = w.clock.Add(3 * time.Second)
		w.carrier("wlan0", true)
		w.clock = w.clock.Add(9 * time.Second)
		w.expect("flapping", "")
	}
	w.clock = w.clock.Add(20 * time.Second)
	w.expect("29 s after the last of several losses", "")
	w.clock = w.clock.Add(2 * time.Minute)
	w.expect("in the end", "wlan0")
}

func TestRuleMovesAndDwellHoldsItThere(t *testing.T) {
	w := newWorld(t, "[policy]\ndwell = \"10s\"\nprefer = [\"wlan0\"]\n[[policy.rules]]\nwhen = 'wlan0.congestion > 0.5'\nuse = \"wwan0\"", "wlan0", "wwan0")
	w.expect("uncongested", "")
	w.hint("wlan0", "congestion", "0.6", w.clock.Add(5*time.Second))
	v := w.expect("congested", "wwan0")
	if v.Decisions[0].Trigger != TriggerRule || !strings.Contains(v.Decisions[0].Cause, "rule 1: wlan0.congestion > 0.5") {
		t.Errorf("%+v", v.Decisions)
	}
	w.clock = w.clock.Add(6 * time.Second)
	w.expect("the hint has expired, dwell has not", "")
	w.clock = w.clock.Add(5 * time.Second)
	w.expect("both have", "wlan0")
}

func TestAvoidedAndNeverAreNotUsedNotEvenInNeed(t *testing.T) {
	const text = "[interfaces.tun0]\nnever = true\n[interfaces.wwan0]\nmetered = true\n[policy]\n%\n[[policy.rules]]\nwhen = 'wwan0.metered && session.length > 500_000_000'\navoid = \"wwan0\""
	w := newWorld(t, strings.Replace(text, "%", "", 1), "wlan0", "wwan0", "tun0")
	if got := strings.Join(w.Order(w.s), " "); got != "wlan0" {
		t.Errorf("order of a long one %s", got)
	}
	short := w.s
	short.Length = 1000
	if got := strings.Join(w.Order(short), " "); got != "wlan0 wwan0" {
		t.Errorf("order of a short one %s", got)
	}
	w.s.Interface = "wwan0"
	w.expect("on the avoided one", "wlan0")
	w.Direct(Directives{Use: "tun0"})
	w.expect("asked for the one that is never", "")
	w = newWorld(t, strings.Replace(text, "%", "in_need = true", 1), "wlan0", "wwan0", "tun0")
	if got := strings.Join(w.Order(w.s), " "); got != "wlan0 wwan0 tun0" {
		t.Errorf("order in need %s", got)
	}
}

func TestPersonsWordCountsAtOnceUntilAuto(t *testing.T) {
	w := newWorld(t, "[policy]\nprefer = [\"wlan0\"]", "wlan0", "wwan0")
	w.Direct(Directives{Use: "wwan0"})
	w.expect("use", "wwan0")
	w.clock = w.clock.Add(time.Hour)
	w.expect("for good", "")
	if got := w.Order(w.s); got[0] != "wwan0" {
		t.Errorf("order %v", got)
	}
	w.Direct(Directives{})
	w.expect("auto", "wlan0")
	w.UseFor(7, "wwan0")
	w.expect("one process", "wwan0")
	w.Direct(Directives{Use: "wlan0"})
	w.UseFor(7, Auto)
	w.clock = w.clock.Add(time.Hour)
	w.s.Interface = "wwan0"
	w.expect("the process is exempt, the policy counts", "wlan0")
}

func TestWhenFiresOnceForAll(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	w.Direct(Directives{Whens: []When{{ID: "a", Condition: "wlan0.congestion > 0.3", Use: "wwan0", Once: true}}})
	w.expect("before", "")
	w.hint("wlan0", "congestion", "0.4", time.Time{})
	v := w.expect("comes true", "wwan0")
	if len(v.Fired) != 1 || len(w.Directives().Whens) != 0 || w.Directives().Use != "wwan0" {
		t.Errorf("%+v %+v", v, w.Directives())
	}
}

func TestAnExpiredTriggerDoesNotFire(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	w.Direct(Directives{Whens: []When{{ID: "a", Condition: "wlan0.congestion > 0.3", Use: "wwan0", Expires: w.clock.Add(time.Minute)}}})
	w.clock = w.clock.Add(2 * time.Minute)
	w.hint("wlan0", "congestion", "0.4", time.Time{})
	if v := w.expect("the condition comes true too late", ""); len(v.Fired) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestPreferredProvider(t *testing.T) {
	w := newWorld(t, "[policy]\nproviders = [\"telco\"]\n", "wlan0", "wwan0")
	w.expect("unknown", "")
	w.hint("wwan0", "provider", "telco", time.Time{})
	if v := w.expect("known", "wwan0"); !strings.Contains(v.Decisions[0].Cause, "its provider, telco") {
		t.Errorf("%+v", v)
	}
}

func TestWhenOfASessionFiresForIt(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	w.Direct(Directives{Whens: []When{{ID: "a", Condition: "session.received > 5000", Use: "wwan0"}}})
	w.expect("before", "")
	w.s.Received = 6000
	if v := w.expect("comes true", "wwan0"); v.Decisions[0].Trigger != TriggerWhen || w.Directives().Use != "" {
		t.Errorf("%+v", v)
	}
	w.s.Interface = "wlan0"
	w.expect("still true", "")
}

func TestChangeMustPay(t *testing.T) {
	w := newWorld(t, "[policy]\nprefer = [\"wwan0\"]", "wlan0", "wwan0")
	w.s.Length, w.s.Received = 10e6, 9.9e6
	v := w.expect("nearly done", "")
	if len(v.Declined) != 1 || !strings.Contains(v.Declined[0].Reason, "nearly done") {
		t.Errorf("%+v", v)
	}
	w.s.Length = -1
	w.expect("of unknown length", "wwan0")
}

func TestRefusedMoveIsTriedAgainLater(t *testing.T) {
	w := newWorld(t, "[policy]\nprefer = [\"wwan0\"]", "wlan0", "wwan0")
	if to, _ := w.look(); to != "wwan0" {
		t.Fatal(to)
	}
	if to, _ := w.look(); to != "" {
		t.Error("asked for twice")
	}
	w.Outcome(w.s.ID, "wwan0", errors.New("refused"))
	if to, _ := w.look(); to != "" {
		t.Error("asked for at once again")
	}
	w.clock = w.clock.Add(6 * time.Second)
	if to, _ := w.look(); to != "wwan0" {
		t.Error("not tried again")
	}
}

func TestMeasurementsComeFromTheStreams(t *testing.T) {
	w := newWorld(t, "", "wlan0", "wwan0")
	for n := range 20 {
		w.s.Received = int64(n) * 5e6
		w.Report(7, []Stream{w.s}, []Sample{{RTT: 20}})
		w.clock = w.clock.Add(time.Second)
	}
	i, _ := w.Interface("wlan0")
	if i.RTT < 19 || i.RTT > 21 || i.Throughput < 39e6 || i.Throughput > 41e6 || i.Congestion != 0 || i.Streams != 1 {
		t.Errorf("%+v", i)
	}
	for n := range 20 {
		w.s.Received += int64(n)
		w.Report(7, []Stream{w.s}, []Sample{{RTT: 200}})
		w.clock = w.clock.Add(time.Second)
	}
	if i, _ = w.Interface("wlan0"); i.Congestion < 0.9 {
		t.Errorf("congestion %v", i.Congestion)
	}
	w.Gone(7)
	w.clock = w.clock.Add(2 * time.Minute)
	w.Gone(8)
	if i, _ = w.Interface("wlan0"); i.RTT != 0 {
		t.Error("kept for ever")
	}
}

func TestEveryInterfaceSaysWhy(t *testing.T) {
	w := newWorld(t, "[interfaces.wwan0]\nmetered = true\n[interfaces.tun0]\nnever = true", "wlan0", "wwan0", "tun0")
	want := map[string]string{
		"wlan0": "chosen: it is not metered, unlike wwan0", "wwan0": "not chosen: wlan0 is not metered",
		"tun0": "not used: the configuration says never", "lo": "not used: it is the loopback interface",
	}
	for _, i := range w.Interfaces() {
		if i.Why != want[i.Name] {
			t.Errorf("%s (rank %d): %s", i.Name, i.Rank, i.Why)
		}
	}
	w.Direct(Directives{Use: "wwan0"})
	if all := w.Interfaces(); all[0].Name != "wwan0" || all[0].Why != "chosen: a person asked for wwan0" || all[1].Why != "not chosen: a person asked for wwan0" {
		t.Errorf("%+v", all)
	}
}

func FuzzHint(f *testing.F) {
	f.Add("congestion", "0.5")
	f.Add("performance", "40M")
	f.Add("server", "fe80::1%eth0")
	f.Fuzz(func(t *testing.T, key, value string) {
		if CheckHint(key, value) == nil {
			var i Interface
			i.take([]Hint{{Key: key, Value: value}})
			if i.Congestion < 0 || i.Congestion > 1 || i.Cost < 0 || i.Performance < 0 {
				t.Errorf("%q=%q gave %+v", key, value, i)
			}
		}
	})
}

// Before a change for better the process is asked, and what it says counts.
func TestAsksBeforeAChangeForBetter(t *testing.T) {
	const policy = "[policy]\nprefer = [\"wwan0\", \"wlan0\"]\ndwell = \"0s\"\n"
	for _, test := range []struct {
		name   string
		answer func(w *world, n Need) []Need
		to     string
		says   string
	}{
		{"it agrees", func(w *world, n Need) []Need { n.Received, n.Rate = 4e8, 8e6; return []Need{n} }, "wwan0", "600.0 MB are left, at 8.0 Mbit/s"},
		{"it does not know the length", func(w *world, n Need) []Need { n.Length = -1; return []Need{n} }, "wwan0", "how much is left is not known"},
		{"it is nearly done", func(w *world, n Need) []Need { n.Received = n.Length - 1000; return []Need{n} }, "", "it is nearly done"},
		{"it is done", func(w *world, n Need) []Need { n.Active = false; return []Need{n} }, "", ""},
		{"it cannot be moved any more", func(w *world, n Need) []Need { n.Movable, n.Why = false, "it was left"; return []Need{n} }, "", "it was left"},
		{"it cannot go there", func(w *world, n Need) []Need { n.To = []string{"wlan0"}; return []Need{n} }, "", "the process cannot use it"},
		{"it was refused there", func(w *world, n Need) []Need {
			n.Not = map[string]string{"wwan0": "other content"}
			return []Need{n}
		}, "", "it was refused there before: other content"},
		{"it does not answer", func(w *world, n Need) []Need { return nil }, "", "has not said within 300ms"},
		{"it speaks for another", func(w *world, n Need) []Need { n.PID = 8; return []Need{n} }, "", "has not said within 300ms"},
		{"it has ended", func(w *world, n Need) []Need { w.Gone(7); return nil }, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, policy, "wlan0", "wwan0")
			questions := 0
			w.asker = func(pid int, sessions []string) []Need {
				if questions++; pid != 7 || len(sessions) != 1 || sessions[0] != "7-1" {
					t.Errorf("asked %d about %q", pid, sessions)
				}
				return test.answer(w, Need{Stream: w.s, To: []string{"wlan0", "wwan0"}})
			}
			to, v := w.look()
			said := ""
			for _, d := range v.Decisions {
				said += d.Cause
			}
			for _, d := range v.Declined {
				said += d.Reason
			}
			if to != test.to || !strings.Contains(said, test.says) || questions != 1 || test.says == "" && said != "" {
				t.Errorf("to %q after %d questions: %s", to, questions, said)
			}
			// Whoever has said no, or nothing, is left in peace for a while.
			if strings.HasPrefix(test.says, "it was refused") || strings.HasPrefix(test.says, "has not") {
				if w.look(); questions != 1 {
					t.Error("asked again at once")
				}
				w.clock = w.clock.Add(time.Minute)
				if w.look(); questions != 2 {
					t.Error("never asked again")
				}
			}
		})
	}
	// A person's word needs no question.
	w := newWorld(t, "", "wlan0", "wwan0")
	w.asker = func(int, []string) []Need { t.Error("asked"); return nil }
	w.UseFor(7, "wwan0")
	w.expect("a person's use", "wwan0")
}

// What a program has found out fills in for what nobody says; the configuration, facts and people go before.
func TestWhatWasFoundGivesWay(t *testing.T) {
	yes, no := true, false
	for name, test := range map[string]struct {
		configured, fact, told *bool
		want                   bool
	}{
		"alone":              {nil, nil, nil, true},
		"the configuration":  {&no, nil, nil, false},
		"a fact":             {nil, &no, nil, false},
		"a person":           {nil, nil, &no, false},
		"a person, and more": {&no, &no, &yes, true},
	} {
		cfg := config.Default()
		cfg.Interfaces = map[string]config.Interface{"wwan0": {Metered: test.configured}}
		e := New(cfg, time.Now)
		e.Links([]netif.Interface{{Name: "wwan0", Index: 2, Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}})
		e.Facts(map[string]Fact{"wwan0": {Metered: test.fact, Signal: -60}})
		var d Directives
		if test.told != nil {
			d.Tell("wwan0", Hint{Key: "metered", Value: fmt.Sprint(*test.told)})
		}
		for key, value := range map[string]string{"metered": "true", "signal": "-90", "provider": "found"} {
			d.Tell("wwan0", Hint{Key: key, Value: value, Found: true})
		}
		e.Direct(d)
		i, _ := e.Interface("wwan0")
		if i.Metered != test.want || i.Signal != -60 || i.Provider != "found" {
			t.Errorf("%s: %+v", name, i)
		}
	}
	for value, ok := range map[string]bool{"-70": true, "-1": true, "0": false, "70": false, "-151": false, "x": false} {
		if err := CheckHint("signal", value); (err == nil) != ok {
			t.Errorf("signal=%s: %v", value, err)
		}
	}
}
