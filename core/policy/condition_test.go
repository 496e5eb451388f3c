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
		`matches(session.host, "*.debian.org")`:         true,
		`matches(session.url, "http://*.deb")`:          false,
		`-wlan0.rtt < 0`:                                true,
		// What is not known satisfies no comparison.
		`wwan0.rtt < 300 || wwan0.rtt > 300 || wwan0.rtt != 300`: false,
		`session.remaining < 10`:                                 false,
		`usb0.carrier || usb0.cost <= 0`:                         false,
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
		`wlan0.congetsion > 0.8`:        `column 7: an interface has no "congetsion"; it has`,
		`true && session.lenght > 1`:    `column 17: a session has no "lenght"`,
		`wlan0.metered > 3`:             `column 1: > is between true or false and a number`,
		`wlan0.rtt`:                     `the condition is a number`,
		`wlan0 == "x"`:                  `column 1: wlan0 is no value`,
		`wlan0.provider < "x"`:          `cannot stand between two of a text`,
		`wlan0.rtt > `:                  `this is no expression`,
		``:                              `this is no expression`,
		`len(session.host) > 3`:         `only one function`,
		`matches(session.host, "[")`:    `is no pattern`,
		`matches(session.length, "a")`:  `matches takes a text`,
		`wlan0.provider == 'x'`:         `double quotes`,
		`func() bool { return true }()`: `only one function`,
		`!wlan0.rtt`:                    `! cannot stand before a number`,
		`interfaces[wlan0].rtt > 1`:     `write interfaces["NAME"].rtt`,
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): `nested`,
		strings.Repeat("!", 3000) + "true":                           `longer than`,
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
	for _, s := range []string{`wlan0.congestion > 0.8 || wlan0.rtt > 300`, `interfaces["a"].free`, `matches(session.host, "*")`, `1+2*3 > -4`, "((", "\x00"} {
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
