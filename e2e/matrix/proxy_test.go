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
			args := []string{near.Content(), "80", host}
			prefix := ""
			if c.through {
				near.Squid("")
				args = []string{near.Proxy(), fmt.Sprint(lab.ProxyPort), host, "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic bWluZQ=="}
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
