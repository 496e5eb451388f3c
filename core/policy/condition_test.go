package policy

import (
	"math"
	"strings"
	"testing"
)

func variables() *Variables {
	return &Variables{
		Interfaces: map[string]*Interface{
			"wlan0":   {Name: "wlan0", Congestion: 0.9, RTT: 120, Loss: math.NaN(), Carrier: true, Provider: "campus"},
			"wwan0":   {Name: "wwan0", Metered: true, Cost: 2, RTT: math.NaN()},
			"br-lan":  {Name: "br-lan", RTT: 3},
			"eth0.10": {Name: "eth0.10", Free: true},
		},
		Session: &Session{Interface: "wlan0", Host: "ftp.debian.org", Length: 6e8, Remaining: math.NaN(), Port: 80, URL: "http://ftp.debian.org/a/b"},
	}
}

func TestConditionHolds(t *testing.T) {
	for source, want := range map[string]bool{
		`wlan0.congestion > 0.8 || wlan0.rtt > 300`:     true,
		`wwan0.metered && session.length > 500_000_000`: true,
		`wwan0.metered && session.length > 700_000_000`: false,
		`!(wwan0.cost >= 2) || wlan0.carrier == false`:  false,
		`interfaces["br-lan"].rtt*2 == 6`:               true,
		`interfaces["eth0.10"].free`:                    true,
		`current.provider == "campus"`:                  true,
		`session.host endsWith ".debian.org"`:           true,
		`session.url matches "^http://.*[.]deb$"`:       false,
		`session.host contains "debian" and not false`:  true,
		`wlan0.provider == 'campus'`:                    true,
		`session.interface == "wlan0"`:                  true,
		`session.port == 80 && wlan0["rtt"] > 1e2`:      true,
		`9_000_000_000_000_000_000 * 9_000_000_000 > 0`: true,
		`1 / 0 > 5 && 0 / 0 != 1`:                       false,
		`-wlan0.rtt < 0`:                                true,
		// What is not known satisfies no comparison.
		`wwan0.rtt < 300 || wwan0.rtt > 300 || wwan0.rtt != 300`: false,
		`session.remaining < 10`:                                 false,
		`usb0.carrier || usb0.cost <= 0`:                         false,
		`usb0.provider == "campus" || usb0.carrier != false`:     false,
	} {
		c, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if got := c.Holds(variables()); got != want {
			t.Errorf("%s is %t", source, got)
		}
	}
}

func TestConditionIsRefusedWithItsPlace(t *testing.T) {
	for source, want := range map[string]string{
		`wlan0.congetsion > 0.8`:           `column 7: an interface has no "congetsion"; it has`,
		`interfaces["br-lan"].rrt > 0.8`:   `column 22: an interface has no "rrt"; it has`,
		`true && session.lenght > 1`:       `column 17: a session has no "lenght"`,
		"true &&\nsession.lenght > 1":      `line 2, column 9: a session has no "lenght"`,
		`wlan0.Name == "x"`:                `column 7: an interface has no "Name"`,
		`wlan0.metered > 3`:                `column 15: invalid operation: > (mismatched types bool and float64)`,
		`session.host == 3`:                `column 14: invalid operation: == (mismatched types string and float64)`,
		`session.port != "x"`:              `column 14: invalid operation: != (mismatched types float64 and string)`,
		`wlan0.rtt`:                        `column 1: expected bool, but got float64`,
		`wlan0 == "x"`:                     `column 1: wlan0 is no value`,
		`session == current`:               `is no value`,
		`"wlan0" in interfaces`:            `in has no meaning`,
		`interfaces["wlan0"] == current`:   `is no value`,
		`wlan0.rtt > `:                     `column 12: unexpected token EOF`,
		``:                                 `column 1: unexpected token EOF`,
		`len(session.host) > 3`:            `has no meaning in a condition`,
		`wlan0.rtt > 3 ? true : false`:     `has no meaning in a condition`,
		`let a = 1; a > 2`:                 `has no meaning in a condition`,
		`1 in 1..1000000`:                  `has no meaning in a condition`,
		`session.host matches "["`:         `missing closing ]`,
		`session.length contains "a"`:      `mismatched types float64 and string`,
		`!wlan0.rtt`:                       `mismatched type float64`,
		`interfaces[wlan0.kind].rtt > 1`:   `write interfaces["NAME"].rtt`,
		`interfaces["a/b"].rtt > 1`:        `"a/b" is no name for a network interface`,
		strings.Repeat("!", 1000) + "true": `exceeds maximum allowed nodes`,
		strings.Repeat("!", 3000) + "true": `longer than`,
	} {
		if _, err := Compile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", source, err, want)
		}
	}
}

func TestConditionKnowsWhatItSpeaksOf(t *testing.T) {
	c, err := Compile(`wlan0.rtt > 1 && wwan0.metered && wlan0.carrier`)
	if err != nil || c.OfSession() || strings.Join(c.Interfaces(), " ") != "wlan0 wwan0" {
		t.Errorf("%v %v", c, err)
	}
	if c, err = Compile(`current.metered`); err != nil || !c.OfSession() {
		t.Errorf("%v %v", c, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`wlan0.congestion > 0.8 || wlan0.rtt > 300`, `interfaces["a"].free`, `session.host matches "a*"`, `1+2*3 > -4`, `session == current`, "true &&\nwlan0.rtt != 1", "((", "\x00"} {
		f.Add(s)
	}
	v := variables()
	f.Fuzz(func(t *testing.T, source string) {
		if c, err := Compile(source); err == nil {
			c.Holds(v)
			c.Holds(&Variables{})
		}
	})
}
