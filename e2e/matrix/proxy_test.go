package matrix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// An exchange in progress, and those that follow on its stream, move between networks with and without a proxy, to
// proxies of two makes, more than once, with the same answers as natively.
func TestStreamsMoveToAndFromProxies(t *testing.T) {
	body := content(300_000)
	for name, c := range map[string]struct {
		through  bool // the program speaks to a proxy of its own
		next     string
		password bool
	}{
		"direct to direct":              {},
		"direct to squid":               {next: "squid"},
		"direct to squid, password":     {next: "squid", password: true},
		"direct to tinyproxy":           {next: "tinyproxy"},
		"direct to tinyproxy, password": {next: "tinyproxy", password: true},
		"proxy to direct":               {through: true},
		"proxy to squid":                {through: true, next: "squid", password: true},
		"proxy to tinyproxy":            {through: true, next: "tinyproxy"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			config := ""
			if c.next != "" {
				user := ""
				if c.password {
					user = "ann:s3cr3tword@"
				}
				config = fmt.Sprintf("proxy = \"http://%s%s:%d\"\n", user, far.Proxy(), lab.ProxyPort)
			}
			l.Configure(config) // the last interface's
			switch {
			case c.next == "squid":
				far.Squid(authorised(t, l, c.password))
			case c.next == "tinyproxy" && c.password:
				far.TinyproxyWith("BasicAuth ann s3cr3tword\n")
			case c.next == "tinyproxy":
				far.Tinyproxy()
			}
			args := plainly.talk(near.Content())
			prefix := ""
			if c.through {
				near.Squid("")
				args = []string{near.Proxy(), fmt.Sprint(lab.ProxyPort), host, "", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic bWluZQ=="}
				prefix = "http://" + host
			}
			s := script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000}
			first := serve(t, near, s)
			s.hold = -1
			second := serve(t, far, s)

			k := talkTo(t, l, true, args...)
			k.asks("GET " + prefix + "/file")
			<-first.held
			k.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			k.move(far.Name)
			k.answered()
			for i := range 4 {
				k.asks(fmt.Sprintf("GET %s/x?n=%d", prefix, i))
				k.answered()
			}
			if len(second.requests()) < 5 {
				t.Errorf("the new network's server has seen only %d requests", len(second.requests()))
			}
			k.asks("HEAD " + prefix + "/file")
			k.answered()
			k.move(near.Name) // between two exchanges
			k.asks("GET " + prefix + "/x?n=back")
			k.answered()
			k.move(far.Name)
			k.asks("GET " + prefix + "/file")
			k.answered()
			got := k.ends()

			native := talkTo(t, l, false, args...)
			for _, line := range append(lines(prefix), "HEAD "+prefix+"/file", "GET "+prefix+"/x?n=back", "GET "+prefix+"/file") {
				native.asks(line)
			}
			if want := native.ends(); got != want {
				t.Errorf("it printed\n%swant\n%s", got, want)
			}
			for _, r := range append(first.requests(), second.requests()...) {
				if r.URL.IsAbs() || r.Header.Get("Proxy-Authorization") != "" || r.Host != host {
					t.Errorf("a server was asked for %v of %v with %v", r.URL, r.Host, r.Header)
				}
			}
			if c.password {
				keepsSecret(t, l, "s3cr3t", "YW5uOnMzY3IzdHdvcmQ")
			}
		})
	}
}

func lines(prefix string) []string {
	all := []string{"GET " + prefix + "/file"}
	for i := range 4 {
		all = append(all, fmt.Sprintf("GET %s/x?n=%d", prefix, i))
	}
	return all
}

// authorised is squid's configuration that demands ann's password, if it is to.
func authorised(t *testing.T, l *lab.Lab, demand bool) string {
	if !demand {
		return ""
	}
	file := l.Dir + "/helper"
	script := "#!/bin/sh\nwhile read -r user password; do\n  if [ \"$user $password\" = \"ann s3cr3tword\" ]; then echo OK; else echo ERR; fi\ndone\n"
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(l.Dir, 0o755)
	return "auth_param basic program " + file + "\nauth_param basic children 1\nacl known proxy_auth REQUIRED\nhttp_access deny !known\n"
}

// keepsSecret fails the test if one of the texts is in the log or in a list.
func keepsSecret(t *testing.T, l *lab.Lab, secrets ...string) {
	t.Helper()
	log, _ := os.ReadFile(l.LogFile())
	for _, s := range secrets {
		if strings.Contains(string(log), s) {
			t.Errorf("the log has %q", s)
		}
	}
}

// The proxy that the program's environment names, and the hosts that are reached without one.
func TestTheEnvironmentNamesTheProxy(t *testing.T) {
	body := content(300_000)
	for name, c := range map[string]struct {
		config  string
		noProxy string
		through bool
	}{
		"named":                      {config: "proxy = \"environment\"\n", through: true},
		"but for the host":           {config: "proxy = \"environment\"\n", noProxy: "localhost, .example"},
		"but for another":            {config: "proxy = \"environment\"\n", noProxy: "ample,other.example", through: true},
		"no_proxy with environment":  {config: "proxy = \"environment\"\nno_proxy = [\"files.example\"]\n"},
		"no_proxy with an own proxy": {config: "proxy = \"http://10.77.2.81:3128\"\nno_proxy = [\"example\"]\n"},
		"an own proxy":               {config: "proxy = \"http://10.77.2.81:3128\"\n", noProxy: "*", through: true},
		"none":                       {},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			l.Configure(c.config)
			far.TinyproxyWith("BasicAuth ann s3cr3tword\n")
			user := "ann:s3cr3tword@"
			if strings.Contains(c.config, "http:") {
				l.Configure(strings.Replace(c.config, "http://", "http://"+user, 1))
			}
			s := script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000}
			first := serve(t, near, s)
			s.hold = -1
			second := serve(t, far, s)
			d := &download{t: t, lab: l, out: l.Dir + "/out"}
			d.program = l.Midstream("curl", "-sS", "--noproxy", "*", "-o", d.out, "http://"+host+"/file")
			d.program.Env = append(d.program.Env, "http_proxy=http://"+user+far.Proxy()+":3128", "no_proxy="+c.noProxy)
			d.program.Start()
			d.control = l.Control(d.program.Pid(), lab.Patience)
			<-first.held
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			d.moveOrEnd(far.Name)
			d.ends(body)
			through := false
			for _, r := range second.requests() {
				through = through || r.Header.Get("Via") != ""
			}
			if through != c.through {
				t.Errorf("through the proxy: %v", through)
			}
			keepsSecret(t, l, "s3cr3t", "YW5uOnMzY3IzdHdvcmQ")
		})
	}
}

// A proxy that refuses, or is not there: the reason says so, and nothing tells the password.
func TestAProxysPasswordStaysSecret(t *testing.T) {
	body := content(300_000)
	for name, there := range map[string]bool{"refused": true, "absent": false} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			l.Configure(fmt.Sprintf("proxy = \"http://ann:s3cr3tword@%s:%d\"\n", far.Proxy(), lab.ProxyPort))
			if there {
				far.TinyproxyWith("BasicAuth ann another\n")
			}
			first := serve(t, near, script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000})
			d := start(t, l, "curl", "-sS", "-o", "OUT", "http://"+host+"/file")
			<-first.held
			d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
			moved, err := d.control.Migrate(far.Name)
			if err != nil || len(moved) != 1 || moved[0].OK || there && !strings.Contains(moved[0].Reason, "401") {
				t.Errorf("%+v, %v; want a refusal", moved, err)
			}
			list := l.Ctl("sessions", "--json").Run()
			told := l.Ctl("migrate", "--to", far.Name).Run()
			for _, text := range []string{fmt.Sprintf("%+v", moved), list.Stdout + list.Stderr, told.Stdout + told.Stderr} {
				if strings.Contains(text, "s3cr3t") || strings.Contains(text, "YW5uOnMzY3IzdHdvcmQ") {
					t.Errorf("the password is in %s", text)
				}
			}
			first.release()
			d.ends(body)
			keepsSecret(t, l, "s3cr3t", "YW5uOnMzY3IzdHdvcmQ")
		})
	}
}

// Real clients, each with its own way to name a proxy, move from squid and nginx to Apache without a proxy and back to
// lighttpd behind tinyproxy.
func TestRealClientsLeaveTheirProxy(t *testing.T) {
	proxy := "http://10.77.1.81:3128"
	file := "http://" + host + "/file"
	for name, args := range map[string][]string{
		"curl":   {"curl", "-sS", "-x", proxy, "-o", "OUT", file},
		"wget":   {"wget", "-q", "-e", "http_proxy=" + proxy, "-O", "OUT", file},
		"aria2c": {"aria2c", "-q", "--all-proxy=" + proxy, "--allow-overwrite=true", "--file-allocation=none", "-d", "/", "-o", "OUT", file},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("eth0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
			named(l)
			near, plain, far := l.Networks()[0], l.Networks()[1], l.Networks()[2]
			l.Configure(fmt.Sprintf("proxy = \"http://%s:%d\"\n", far.Proxy(), lab.ProxyPort))
			root := l.Dir + "/www"
			sum := lab.Content(t, root, "file", 8_000_000, 1)
			os.Chmod(l.Dir, 0o755)
			near.Squid("")
			near.Nginx(root, lab.ServerOptions{LimitRate: 4_000_000})
			plain.Nginx(root, lab.ServerOptions{LimitRate: 4_000_000})
			far.Tinyproxy()
			far.Apache(root, lab.ServerOptions{})
			d := start(t, l, args...)
			d.reads("the beginning", func(s lab.Session) bool { return s.Received > 200_000 })
			d.move(plain.Name)
			d.reads("more", func(s lab.Session) bool { return s.Received > 1_200_000 })
			d.move(far.Name)
			r := d.program.Wait()
			if got := lab.Sum(d.out); r.Status != 0 || got != sum {
				t.Errorf("%s, want %s; %v", got, sum, r)
			}
		})
	}
}

// A program may ask its proxy for several hosts on one connection; each goes to its own server.
func TestOneStreamAsksSeveralHosts(t *testing.T) {
	body := content(300_000)
	l := lab.New(t)
	near, far := l.Networks()[0], l.Networks()[1]
	for _, n := range l.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}, "other.example": {n.Address(90)}})
		n.AddAddress(n.Address(90))
	}
	near.Squid("")
	s := script{body: body, etag: strong, modified: modified, ranges: true, hold: 150_000}
	first := serve(t, near, s)
	s.hold = -1
	serveAt(t, near, near.Address(90), s)
	second := serve(t, far, s)
	other := serveAt(t, far, far.Address(90), s)
	k := talkTo(t, l, true, near.Proxy(), fmt.Sprint(lab.ProxyPort), host, "")
	k.asks("GET http://" + host + "/file")
	<-first.held
	k.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
	k.move(far.Name)
	k.answered()
	for i := range 6 {
		k.asks(fmt.Sprintf("GET http://%s/x?n=%d", []string{host, "other.example"}[i%2], i))
		k.answered()
	}
	if out := k.ends(); strings.Count(out, "200 11 ") != 6 || !strings.HasSuffix(out, "1 connection\n") {
		t.Errorf("it printed\n%s", out)
	}
	if n := len(other.requests()); n != 3 {
		t.Errorf("the other host's server has seen %d requests, %d the first one's", n, len(second.requests()))
	}
}
