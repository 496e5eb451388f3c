// What a configuration means, what is refused and how, and that no password ever shows.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const full = `# everything
[interfaces.wlan0]
dns = ["10.77.1.53", "fd77:1::53", "10.77.1.54:5353"]
proxy = "http://me:s3cr%40t@10.77.1.80:3128"
no_proxy = [
  "Example.org", # and all under it
  ".local.test", "10.0.0.0/8", "fd00::1",
]
[interfaces."eth0.100"]
proxy = "environment"
[migration]
single = true
look_ahead = 2
proof = "strict"
skip_limit = "16 MiB"
timeout = "1m30s"
[[migration.pairs]]
from = "wlan0"
to = "eth0.100"
single = false
[[migration.pairs]]
from = "eth0.100"
to = "wlan0"
[failover]
enabled = false
patience = "2m"
standby = "never"
suspect_after = "350ms"
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

func TestEveryKeyIsRead(t *testing.T) {
	c, err := load(t, full)
	if err != nil {
		t.Fatal(err)
	}
	w := c.Interfaces["wlan0"]
	wantDNS := []netip.AddrPort{netip.MustParseAddrPort("10.77.1.53:53"), netip.MustParseAddrPort("[fd77:1::53]:53"), netip.MustParseAddrPort("10.77.1.54:5353")}
	if !reflect.DeepEqual(w.DNS, wantDNS) {
		t.Errorf("dns = %v", w.DNS)
	}
	if p := w.Proxy; p.Host != "10.77.1.80" || p.Port != 3128 || p.User != "me" || p.Password.Reveal() != "s3cr@t" {
		t.Errorf("proxy = %v", p)
	}
	if !c.Interfaces["eth0.100"].Proxy.Environment {
		t.Error("the environment's proxy is not asked for")
	}
	m := c.Migration
	if !m.Single || m.LookAhead != 2 || m.Proof != ProofStrict || m.SkipLimit != 16<<20 || m.Timeout != 90*time.Second {
		t.Errorf("migration = %+v", m)
	}
	if f := c.Failover; f.Enabled || f.Patience != 2*time.Minute || f.Standby != StandbyNever || f.SuspectAfter != 350*time.Millisecond {
		t.Errorf("failover = %+v", f)
	}
	for _, pair := range []struct {
		from, to string
		single   bool
	}{{"wlan0", "eth0.100", false}, {"eth0.100", "wlan0", true}, {"wlan0", "lo", true}} {
		if c.Single(pair.from, pair.to) != pair.single {
			t.Errorf("Single(%s, %s) = %t", pair.from, pair.to, !pair.single)
		}
	}
}

func TestNoFileGivesTheDefaults(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Default()) || c.Single("a", "b") || c.Migration.LookAhead != 1.15 || c.Migration.Proof != ProofOverlap {
		t.Errorf("%+v", c)
	}
	if empty, err := load(t, ""); err != nil || empty.Migration.Timeout != 10*time.Second {
		t.Errorf("an empty file: %v, %v", empty, err)
	}
}

func TestWhatIsShownCanBeReadAgain(t *testing.T) {
	c, err := load(t, strings.Replace(full, "me:s3cr%40t@", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(t, c.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, c)
	}
	again.File = c.File
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%v\nbecame\n%v", c, again)
	}
}

// Each mistake is told with its line, its key and what to write instead.
func TestMistakesAreNamed(t *testing.T) {
	for _, test := range []struct {
		name, text string
		line       int
		key        string
		says       string
	}{
		{"unknown section", "\n[failovers]\nx = 1", 2, "failovers", "known here: aggregate, failover, interfaces, live, metrics, migration"},
		{"unknown key", "[interfaces.w]\ndns = []\ndnss = []", 3, "interfaces.w.dnss", "known here: cap, cost, dns, kind, metered, never, no_proxy, provider, proxy"},
		{"metrics for others", "[metrics]\nlisten = \"0.0.0.0:9464\"", 2, "metrics.listen", "not this host's loopback"},
		{"metrics without a port", "[metrics]\nlisten = \"127.0.0.1\"", 2, "metrics.listen", "no address with a port"},
		{"metrics at a relative path", "[metrics]\nlisten = \"unix:a.sock\"", 2, "metrics.listen", "no absolute path"},
		{"a port that is none", "[reach]\nports = \"80,70000\"", 2, "reach.ports", "\"70000\" is no port"},
		{"a range backwards", "[reach]\nports = \"90-80\"", 2, "reach.ports", "\"90-80\" is no port"},
		{"ports as numbers", "[reach]\nports = [80, 443]", 2, "reach.ports", "80,443,8000-8999"},
		{"no ports", "[reach]\nports = \"\"", 2, "reach.ports", "is no port"},
		{"notify by a word", "[notify]\ndesktop = \"yes\"", 2, "notify.desktop", ""},
		{"key in another case", "[migration]\nSingle = true", 2, "migration.Single", "unknown key"},
		{"dotted key", "migration.singel = true", 1, "migration.singel", "unknown key"},
		{"unquoted dot in a name", "[interfaces.eth0.100]\ndns = []", 1, "interfaces.eth0.100", `[interfaces."eth0.100"]`},
		{"impossible name", "[interfaces.\"a b\"]", 1, `interfaces."a b"`, "no name for a network interface"},
		{"long name", "[interfaces.abcdefghijklmnop]", 1, "interfaces.abcdefghijklmnop", "at most 15 octets"},
		{"wrong type", "[interfaces.w]\ndns = \"10.0.0.1\"", 2, "interfaces.w.dns", "this is a text"},
		{"wrong element", "[interfaces.w]\ndns = [1]", 2, "interfaces.w.dns[0]", "this is an integer"},
		{"after a long text", "[interfaces.w]\nproxy = \"\"\"\\\n  \"\"\"\nno_proxy = [ # [\n \"#\",\n]\n", 4, "interfaces.w.no_proxy[0]", `"#" is neither`},
		{"bad resolver", "[interfaces.w]\ndns = [\"dns.example\"]", 2, "interfaces.w.dns[0]", `"dns.example" is no address`},
		{"port 0", "[interfaces.w]\ndns = [\"10.0.0.1:0\"]", 2, "interfaces.w.dns[0]", "no address of a resolver"},
		{"section is no table", "migration = 1", 1, "migration", "write a table"},
		{"boolean as text", "[migration]\nsingle = \"true\"", 2, "migration.single", "this is a text"},
		{"look-ahead too small", "[migration]\nlook_ahead = 0.9", 2, "migration.look_ahead", "0.9 is out of range"},
		{"look-ahead not a number", "[migration]\nlook_ahead = nan", 2, "migration.look_ahead", "out of range"},
		{"proof", "[migration]\nproof = \"maybe\"", 2, "migration.proof", `"overlap", "strict", "whole" or "trust"`},
		{"negative size", "[migration]\nskip_limit = -1", 2, "migration.skip_limit", "-1 is no size"},
		{"size's unit", "[migration]\nskip_limit = \"64 MiBs\"", 2, "migration.skip_limit", "is no size"},
		{"size overflows", "[migration]\nskip_limit = \"9999999999 TB\"", 2, "migration.skip_limit", "is no size"},
		{"duration without unit", "[migration]\ntimeout = \"10\"", 2, "migration.timeout", "is no duration"},
		{"duration too long", "[migration]\ntimeout = \"1h\"", 2, "migration.timeout", "out of range"},
		{"second pair", "[[migration.pairs]]\nfrom = \"a\"\nto = \"b\"\n[[migration.pairs]]\nfrom = \"a\"\ntoo = \"b\"", 4, "migration.pairs[1]", "needs both"},
		{"key of the second pair", "[[migration.pairs]]\nfrom = \"a\"\nto = \"b\"\n[[migration.pairs]]\nfrom = \"a\"\nto = \"c\"\nx = 1", 7, "migration.pairs[1].x", "known here: from, single, to"},
		{"inline pairs", "[migration]\npairs = [{from = \"a\", to = 1}]", 2, "migration.pairs[0].to", "this is an integer"},
		{"same pair twice", "[[migration.pairs]]\nfrom = \"a\"\nto = \"b\"\n[[migration.pairs]]\nfrom = \"a\"\nto = \"b\"", 4, "migration.pairs[1]", "the same pair as at line 1"},
		{"patience too short", "[failover]\npatience = \"0s\"", 2, "failover.patience", "out of range"},
		{"two and a half connections", "[aggregate]\nconnections = 2.5", 2, "aggregate.connections", "whole number"},
		{"five connections", "[aggregate]\nconnections = 5", 2, "aggregate.connections", "out of range"},
		{"a share of more than all", "[interfaces.w]\nshare = 1.5", 2, "interfaces.w.share", "out of range"},
		{"standby", "[failover]\nstandby = true", 2, "failover.standby", `"auto", "always" or "never"`},
		{"first of several", "[migration]\nb = 1\na = 1\n[x]\n", 2, "migration.b", "unknown key"},
		{"key given twice", "[migration]\nsingle = true\nsingle = true", 3, "migration.single", "not valid TOML"},
		{"syntax", "[migration]\nsingle = yes", 2, "migration.single", "not valid TOML"},
		{"nested", "a = " + strings.Repeat("[", 5000), 0, "", "nested too deeply"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.text)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error = %v", err)
			}
			if e.Line != test.line || e.Key != test.key || !strings.Contains(e.Error(), test.says) || !strings.HasPrefix(e.Error(), e.File) || e.Remedy == "" {
				t.Errorf("line %d, key %q: %v", e.Line, e.Key, e)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{
		filepath.Join(dir, "none"): "there is no such file",
		dir:                        "not a regular file",
		long:                       "longer than 64 KiB",
	} {
		var e *Error
		if _, err := Load(file); !errors.As(err, &e) || !strings.Contains(err.Error(), says) || e.File != file {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestPasswordsNeverShow(t *testing.T) {
	const password = "hunter2"
	c, err := load(t, "[interfaces.w]\nproxy = \"http://me:"+password+"@h:1\"")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	proxy := c.Interfaces["w"].Proxy
	if proxy.Password.Reveal() != password {
		t.Error("the password is lost")
	}
	secret, _ := json.Marshal(proxy.Password)
	shown := []string{c.String(), string(encoded), string(secret), proxy.Password.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, *c), fmt.Sprintf(verb, proxy), fmt.Sprintf(verb, proxy.Password), fmt.Sprintf(verb, c.Interfaces))
	}
	for _, value := range []string{
		`"http://me:hunter2@host"`, `"https://me:hunter2@h:1"`, `"http://me:hunter2@h:1/path"`, `"http://me:hunter2@h:99999"`,
		`"http://me:hunter2%zz@h:1"`, `"http://me:hunter2 @h:1"`, `"http://me:hunter2@h h:1"`, `"me:hunter2@h:1"`, `"http://:hunter2@h:1"`,
		`http://me:hunter2@h:1`, `"http://me:hunter2@h:1`, `hunter2`, `"hunter2`, `["hunter2"]`, `"hunter2\q"`,
	} {
		_, err := load(t, "[interfaces.w]\nproxy = "+value)
		if err == nil {
			t.Errorf("%s is accepted", value)
			continue
		}
		shown = append(shown, err.Error())
	}
	for _, s := range shown {
		if strings.Contains(s, password) || strings.Contains(s, "68756e74657232") {
			t.Errorf("the password shows in %q", s)
		}
	}
}

func TestNoProxy(t *testing.T) {
	c, err := load(t, full)
	if err != nil {
		t.Fatal(err)
	}
	for host, bypass := range map[string]bool{
		"example.org": true, "a.EXAMPLE.org.": true, "badexample.org": false, "local.test": true, "x.local.test": true,
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "fd00::1": true, "fd00::2": false, "": false,
	} {
		if c.Interfaces["wlan0"].Bypass(host) != bypass {
			t.Errorf("Bypass(%q) = %t", host, !bypass)
		}
	}
	all, err := load(t, "[interfaces.w]\nno_proxy = [\"*\"]")
	if err != nil || !all.Interfaces["w"].Bypass("any") || !all.Interfaces["w"].Bypass("::1") {
		t.Errorf("* does not match everything: %v", err)
	}
}

func TestFindTakesTheFirstPlace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "midstream", "config.toml")
	t.Setenv(EnvFile, "")
	t.Setenv("HOME", "")
	t.Setenv("XDG_CONFIG_HOME", dir)
	before := Find()
	if before == file {
		t.Error("found a file that is not there")
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := Find(); found != file {
		t.Errorf("found %q", found)
	}
	t.Setenv("XDG_CONFIG_HOME", "relative")
	if found := Find(); found != before {
		t.Errorf("with a relative XDG_CONFIG_HOME: %q", found)
	}
	t.Setenv(EnvFile, "/nowhere")
	if found := Find(); found != "/nowhere" {
		t.Errorf("with %s: %q", EnvFile, found)
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{full, "", "a = '''x\n''''", "[[a]]\n[[a.b]]\nc=[{d=1}]", "\"\\u0061\".'b' . c = {x = \"]\"}", "[interfaces.w]\nproxy=\"http://a:b@[::1]:1\"", "a=\"\"\"\\\"\"\"\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("f", text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		for name, i := range c.Interfaces {
			if i.Proxy.Password.Reveal() != "" {
				return
			}
			if !ValidInterfaceName(name) {
				t.Fatalf("accepted the name %q", name)
			}
		}
		// A compiled condition compares equal with none: it is a function.
		if again, err := parse("f", c.String()); err != nil || again.String() != c.String() {
			t.Fatalf("%v:\n%s", err, c)
		}
	})
}
