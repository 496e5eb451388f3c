package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const policyText = `
[interfaces.wwan0]
metered = true
cost = 2.5
provider = "telco"
kind = "wwan"
[interfaces.tun0]
never = true
[policy]
prefer = ["eth0", "wlan0"]
dwell = "3s"
[[policy.rules]]
when = 'wlan0.congestion > 0.8 || wlan0.rtt > 300'
use = "wwan0"
[[policy.rules]]
when = 'wwan0.metered && session.length > 500_000_000'
avoid = "wwan0"
[[policy.servers]]
host = "*.Debian.org"
prefer = ["10.77.2.80", "192.0.2.0/24"]
[[sessions.exclude]]
command = "apt*"
[[sessions.exclude]]
smaller = "1MB"
port = 8080
`

func TestPolicyIsReadAndPrinted(t *testing.T) {
	c, err := parse("f", policyText)
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy.Performance || c.Policy.Dwell != 3*time.Second || len(c.Policy.Rules) != 2 || c.Policy.Rules[1].Avoid != "wwan0" ||
		c.Policy.Servers[0].Host != "*.debian.org" || c.Policy.Servers[0].Prefer[1].String() != "192.0.2.0/24" ||
		!*c.Interfaces["wwan0"].Metered || !c.Interfaces["tun0"].Never {
		t.Errorf("%+v", c)
	}
	again, err := parse("f", c.String())
	if err != nil || again.String() != c.String() {
		t.Errorf("what is printed does not read as the same: %v\n%s", err, c)
	}
}

func TestSessionsAreExcludedByAllThatACriterionSets(t *testing.T) {
	c, err := parse("f", policyText)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		command string
		port    uint16
		length  int64
		want    bool
	}{
		{"/usr/bin/apt-get update", 80, 1e9, true},
		{"curl http://x/", 8080, 1000, true},
		{"curl http://x/", 8080, -1, false},
		{"curl http://x/", 80, 1000, false},
	} {
		if got := !c.Sessions.Excluded(x.command, "h", x.port, x.length).None(); got != x.want {
			t.Errorf("%+v excluded: %t", x, got)
		}
	}
}

func TestWrongMirrorsAreRefusedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"[[mirrors]]":                       "f:1: mirrors[0]: this mirrors nothing",
		"[[mirrors]]\nfrom = \"http://a/\"": "f:1: mirrors[0]: this mirrors nothing",
		"[[mirrors]]\nfrom = \"http://a/x\"\nto = [\"http://b/\"]":                    "f:2: mirrors[0].from: \"http://a/x\" does not end in a slash",
		"[[mirrors]]\nfrom = \"http://a/\"\nto = [\"https://b/\"]":                    "f:1: mirrors[0]: what is had by http",
		"[[mirrors]]\nfrom = \"https://a/\"\nto = [\"https://192.0.2.1/\"]":           "f:3: mirrors[0].to[0]: over TLS, a server is known by its name",
		"[[mirrors]]\nfrom = \"http://a/\"\nto = [\"http://b/\", \"http://me:x@b/\"]": "f:3: mirrors[0].to[1]: a user and a password",
		"[[mirrors]]\nfrom = \"ftp://a/\"\nto = [\"http://b/\"]":                      "f:2: mirrors[0].from: \"ftp://a/\" is no http URL",
		"[[mirrors]]\nfrom = \"a/\"\nto = [\"http://b/?x=/\"]":                        "f:2: mirrors[0].from: \"a/\" is no folder",
		"[[mirrors]]\nfrom = 3\nto = [\"http://b/\"]":                                 "f:2: mirrors[0].from: wrong type",
		"[mirrors]\nfrom = \"http://a/\"":                                             "f:1: mirrors: wrong type",
		"[[mirrors]]\nfrom = \"http://a/\"\nto = [\"http://b/\"]\nprefer = \"x\"":     "f:4: mirrors[0].prefer: unknown key",
	} {
		if _, err := parse("f", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n%v, want %s", text, err, want)
		}
	}
	c, err := parse("f", "[[mirrors]]\nfrom = \"http://a/x/\"\nto = [\"http://b/\", \"http://c:81/y/\"]")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := parse("f", c.String()); err != nil || !reflect.DeepEqual(again.Mirrors, c.Mirrors) || len(again.Mirrors) != 1 {
		t.Errorf("%v, %v", again, err)
	}
}

func TestWrongPolicyIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"[policy]\n[[policy.rules]]\nwhen = 'wlan0.rtt > 300 && wlan0.congetsion > 1'\nuse = \"a\"": "f:3: policy.rules[0].when: column 26",
		"[policy]\n[[policy.rules]]\nuse = \"a\"\nwhen = 'session.host > 3'":                        "f:4: policy.rules[0].when: column 14: invalid operation: > (mismatched types string and float64)",
		"[[policy.rules]]\nwhen = 'true'":                                                           "f:1: policy.rules[0]: a rule needs either use or avoid",
		"[policy]\ndwell = \"x\"":                                                                   "f:2: policy.dwell",
		"[policy]\nprefer = [\"a/b\"]":                                                              "f:2: policy.prefer[0]",
		"[policy]\nprefre = []":                                                                     "f:2: policy.prefre: unknown key",
		"[[policy.servers]]\nhost = \"x\"\nprefer = [\"nothing\"]":                                  "f:3: policy.servers[0].prefer[0]",
		"[[sessions.exclude]]":                                                                      "f:1: sessions.exclude[0]: this matches every session",
		"[interfaces.a]\ncost = -1":                                                                 "f:2: interfaces.a.cost",
		"[interfaces.a]\nkind = \"x\"":                                                              "f:2: interfaces.a.kind",
	} {
		if _, err := parse("f", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n%v, want %s", text, err, want)
		}
	}
}
