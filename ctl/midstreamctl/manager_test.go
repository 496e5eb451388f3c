package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/core/manager"
)

func TestWrongHintsTriggersAndUsesAreRefused(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"hint", "lo"}, 2, "at least one KEY=VALUE"},
		{[]string{"hint", "a/b", "cost=1"}, 2, "no name for a network interface"},
		{[]string{"hint", "lo", "cost"}, 2, "is no KEY=VALUE"},
		{[]string{"hint", "lo", "costs=1"}, 2, "there are captive, congestion, cost"},
		{[]string{"hint", "lo", "congestion=2"}, 2, "no number from 0 to 1"},
		{[]string{"hint", "lo", "captive=maybe"}, 2, "neither true nor false"},
		{[]string{"hint", "lo", "server=example.org"}, 2, "is no address"},
		{[]string{"hint", "lo", "cost=1", "--expire", "soon"}, 2, "--expire soon: that is no time"},
		{[]string{"hint", "nowhere0", "cost=1"}, 1, "none of that name"},
		{[]string{"when", "lo.rtt > 3", "use", "nowhere0"}, 1, "none of that name"},
		{[]string{"hint", "lo", "cost=1", "--expire", "-3s"}, 2, "in the past"},
		{[]string{"when", "wlan0.rtt > 3", "wlan0"}, 2, "write 'CONDITION' use INTERFACE"},
		{[]string{"when", "wlan0.rtt >", "use", "wlan0"}, 2, "column 11: unexpected token EOF"},
		{[]string{"when", "wlan0.rtt == \"a\"", "use", "wlan0"}, 2, "column 11: invalid operation: =="},
		{[]string{"when", "true", "use", "a/b"}, 2, "no name for a network interface"},
		{[]string{"when", "--drop", "nothing"}, 3, "no such trigger"},
		{[]string{"use"}, 2, "name one interface, or auto"},
		{[]string{"use", "nowhere0"}, 1, "none of that name"},
		{[]string{"interfaces", "extra"}, 2, "unexpected argument"},
	} {
		status, _, complaint := ctl(test.args...)
		if status != test.status || !strings.Contains(complaint, test.says) {
			t.Errorf("%q: status %d, %s", test.args, status, complaint)
		}
	}
}

func TestHintsAndTriggersAreLeftListedAndTakenBack(t *testing.T) {
	dir := isolate(t)
	if status, _, complaint := ctl("hint", "lo", "cost=3", "provider=telco", "--expire", "1h"); status != 0 {
		t.Fatal(complaint)
	}
	if status, out, complaint := ctl("hint", "lo", "cost="); status != 0 || out != "lo: forgot cost\n" {
		t.Fatal(out, complaint)
	}
	if status, out, complaint := ctl("hint", "lo", "metered=true", "cost=", "--expire", "90"); status != 0 || out != "lo: noted metered=true for 1m30s; forgot cost\n" {
		t.Fatal(out, complaint)
	}
	if status, _, complaint := ctl("hint", "nowhere0", "metered="); status != 0 {
		t.Fatal("a hint on an interface that is gone cannot be taken back: ", complaint)
	}
	if status, _, complaint := ctl("hint", "lo", "metered="); status != 0 {
		t.Fatal(complaint)
	}
	status, out, _ := ctl("interfaces", "--json")
	var list []manager.Interface
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		t.Fatalf("%d %v %s", status, err, out)
	}
	for _, i := range list {
		if i.Name == "lo" && (i.Provider != "telco" || i.Cost != 0 || len(i.Hints) != 1 || i.Hints[0].Expires.IsZero()) {
			t.Errorf("%+v", i)
		}
	}
	_, id, _ := ctl("when", "lo.cost > 3", "use", "auto", "--once", "--expire", "2h")
	if _, out, _ = ctl("when"); !strings.Contains(out, strings.TrimSpace(id)) || !strings.Contains(out, "lo.cost > 3") {
		t.Error(out)
	}
	if status, _, complaint := ctl("when", "--drop", strings.TrimSpace(id)); status != 0 {
		t.Error(complaint)
	}
	if _, out, _ = ctl("when"); out != "no triggers\n" {
		t.Error(out)
	}
	if status, out, complaint := ctl("use", "auto"); status != 0 || !strings.HasPrefix(out, "the best interface is used again") {
		t.Error(out, complaint)
	}
	if _, err := os.Lstat(filepath.Join(dir, "use")); err == nil {
		t.Error("auto has left an order")
	}
}
