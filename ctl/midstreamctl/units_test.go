package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/ctl/systemd"
)

// aHost has these units, and systemd does not run.
func aHost(t *testing.T, units map[string]string) (systemd.Services, func(f func(e *environment) int) (int, string, string)) {
	t.Helper()
	root := t.TempDir()
	for name, text := range units {
		file := filepath.Join(root, "usr/lib/systemd/system", name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, []byte("[Service]\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := systemd.Services{Root: root, Home: filepath.Join(root, "home/.config"), Library: "/usr/lib/midstream/libmidstream.so"}
	return s, func(f func(e *environment) int) (int, string, string) {
		var out, errs output
		status := f(&environment{ctx: context.Background(), out: &out, err: &errs})
		return status, out.String(), errs.String()
	}
}

func TestServicesAreEnabledJudgedAndDisabled(t *testing.T) {
	for name, test := range map[string]struct {
		unit     string
		status   int
		says     string   // of what is printed
		lines    []string // of the drop-in
		lacks    string
		complain string
	}{
		"plain":            {"ExecStart=/bin/cat -u", exitOK, "restart d.service", []string{"Environment=LD_PRELOAD=/usr/lib/midstream/libmidstream.so"}, "RUNTIME", ""},
		"its own /tmp":     {"ExecStart=-/bin/cat\nPrivateTmp=yes", exitOK, "where root's midstreamctl finds them", []string{"RuntimeDirectory=midstream-units/%n", "Environment=MIDSTREAM_RUNTIME_DIR=%t/midstream-units/%n/midstream"}, "", ""},
		"no netlink":       {"ExecStart=/bin/cat\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", exitOK, "allows it AF_NETLINK as well", []string{"RestrictAddressFamilies=AF_NETLINK"}, "AF_UNIX", ""},
		"families denied":  {"ExecStart=/bin/cat\nRestrictAddressFamilies=~AF_PACKET", exitOK, "restart", nil, "Restrict", ""},
		"another preload":  {"ExecStart=/bin/cat\nEnvironment=A=b LD_PRELOAD=/lib/other.so", exitOK, "", []string{"Environment=LD_PRELOAD=/usr/lib/midstream/libmidstream.so:/lib/other.so"}, "", ""},
		"its own folders":  {"ExecStart=/bin/cat\nPrivateTmp=yes\nRuntimeDirectory=d d/e:f", exitOK, "", []string{"Environment=RUNTIME_DIRECTORY=%t/d:%t/d/e"}, "", ""},
		"preloaded twice":  {"ExecStart=/bin/cat\nEnvironment=\"A=LD_PRELOAD=x y\" \"LD_PRELOAD=/a/b.so /old/libmidstream.so:c.so\"", exitOK, "", []string{"Environment=LD_PRELOAD=/usr/lib/midstream/libmidstream.so:/a/b.so:c.so"}, "", ""},
		"filtered":         {"ExecStart=/bin/cat\nSystemCallFilter=@system-service", exitOK, "it stays out", nil, "", ""},
		"no network":       {"ExecStart=/bin/cat\nPrivateNetwork=true", exitFailed, "", nil, "", "it has no network"},
		"another root":     {"ExecStart=/bin/cat\nRootDirectory=/srv/x", exitFailed, "", nil, "", "a root folder of its own"},
		"as systemd shows": {"ExecStart={ path=/bin/cat ; argv[]=/bin/cat -u ; ignore_errors=no }\nPrivateNetwork=no\nRootDirectory=", exitOK, "restart", nil, "", ""},
	} {
		s, call := aHost(t, map[string]string{"d.service": test.unit})
		status, out, errs := call(func(e *environment) int { return e.enable(s, "d.service") })
		text, _ := os.ReadFile(s.DropIn("d.service"))
		if status != test.status || !strings.Contains(out, test.says) || !strings.Contains(errs, test.complain) || (len(text) > 0) != (status == exitOK) {
			t.Errorf("%s: status %d\n%s%s%s", name, status, out, errs, text)
		}
		for _, line := range test.lines {
			if !strings.Contains(string(text), line+"\n") {
				t.Errorf("%s: there is no %s in\n%s", name, line, text)
			}
		}
		if test.lacks != "" && strings.Contains(string(text), test.lacks) {
			t.Errorf("%s: %s", name, text)
		}
		if test.status != exitOK {
			if status, out, _ := call(func(e *environment) int { return e.status(s, "d.service") }); status != exitNone || !strings.Contains(out, "cannot work") {
				t.Errorf("%s: status %d, %s", name, status, out)
			}
			continue
		}
		if status, out, _ := call(func(e *environment) int { return e.status(s, "d.service") }); status != exitOK || !strings.Contains(out, "d.service: enabled") {
			t.Errorf("%s: status %d, %s", name, status, out)
		}
		if status, out, _ := call(func(e *environment) int { return e.statusOfAll(s) }); status != exitOK || !strings.HasPrefix(out, "d.service: enabled") {
			t.Errorf("%s: status %d, %s", name, status, out)
		}
		if status, _, errs := call(func(e *environment) int { return e.disable(s, s.DropIn("d.service"), "d.service") }); status != exitOK {
			t.Errorf("%s: %s", name, errs)
		}
		if _, err := os.Stat(filepath.Dir(s.DropIn("d.service"))); err == nil {
			t.Errorf("%s: the folder of the drop-in is left", name)
		}
	}
	s, call := aHost(t, nil)
	for _, f := range []func(e *environment) int{
		func(e *environment) int { return e.enable(s, "x.service") },
		func(e *environment) int { return e.status(s, "x.service") },
		func(e *environment) int { return e.disable(s, s.DropIn("x.service"), "x.service") },
		func(e *environment) int { return e.statusOfAll(s) },
	} {
		if status, out, errs := call(f); status != exitNone {
			t.Errorf("status %d: %s%s", status, out, errs)
		}
	}
	if status, out, errs := call(func(e *environment) int { return e.enableSession(s) }); status != exitOK {
		t.Error(out, errs)
	}
	if text, _ := os.ReadFile(filepath.Join(s.Home, "environment.d", systemd.DropInName)); !strings.Contains(string(text), "\nLD_PRELOAD=/usr/lib/midstream/libmidstream.so${LD_PRELOAD:+:$LD_PRELOAD}\n") {
		t.Errorf("%s", text)
	}
}

// systemctl show merges a unit with its drop-ins, ours among them: who enables twice, after an upgrade for example, has to get the same again.
func TestAServiceIsEnabledAgain(t *testing.T) {
	s, call := aHost(t, map[string]string{"d.service": "ExecStart=/bin/cat\nPrivateTmp=yes\nRuntimeDirectory=d\nRestrictAddressFamilies=AF_INET AF_INET6\nEnvironment=LD_PRELOAD=/lib/other.so"})
	show := filepath.Join(s.Root, "systemctl")
	script := "#!/bin/sh\n[ \"$1\" != show ] || cat " + s.Root + "/usr/lib/systemd/system/$3 " + s.Folder() + "/$3.d/*.conf 2>/dev/null || true\n"
	if err := os.WriteFile(show, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Run = []string{show}
	enable := func() (int, string) {
		status, out, errs := call(func(e *environment) int { return e.enable(s, "d.service") })
		text, _ := os.ReadFile(s.DropIn("d.service"))
		return status, out + errs + string(text)
	}
	status, first := enable()
	if status != exitOK || !strings.Contains(first, "RestrictAddressFamilies=AF_NETLINK AF_UNIX") || !strings.Contains(first, "libmidstream.so:/lib/other.so") {
		t.Errorf("status %d: %s", status, first)
	}
	if status, again := enable(); status != exitOK || again != first {
		t.Errorf("status %d, the second time: %s\nthe first time: %s", status, again, first)
	}
	// One that cannot work under Midstream any more is left as it was.
	before, _ := os.ReadFile(s.DropIn("d.service"))
	unit := filepath.Join(s.Root, "usr/lib/systemd/system/d.service")
	os.WriteFile(unit, []byte("[Service]\nExecStart=/bin/cat\nPrivateNetwork=yes\n"), 0o644)
	if status, said := enable(); status != exitFailed || !strings.HasSuffix(said, string(before)) {
		t.Errorf("status %d: %s", status, said)
	}
}

func TestUnitNames(t *testing.T) {
	for name, want := range map[string]string{"nginx": "nginx.service", "a@b.c": "a@b.c.service", "a@b": "a@b.service", "x.service": "x.service", "x.timer": "", "../x": "", ".service": ""} {
		if got, ok := systemd.UnitName(name); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s %v", name, got, ok)
		}
	}
	isolate(t)
	for _, args := range [][]string{{"enable"}, {"enable", "a", "b"}, {"enable", "x.timer"}, {"disable", "a", "--user-session"}, {"status", "a", "b"}} {
		if status, out, errs := ctl(args...); status != exitUsage {
			t.Errorf("%q: %d %s%s", args, status, out, errs)
		}
	}
}
