package tls

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

// A download in Firefox moves, and survives the end of its server.
func TestFirefox(t *testing.T) {
	for _, command := range []string{"firefox-esr", "certutil"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(command + " is not there")
		}
	}
	s := newSite(t, lab.Link{})
	s.rate = size / 6
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": s.ca.again("again", host, id)})
	p, out := s.firefox("natively", s.Command)
	s.complete(p.Start(), out)

	p, out = s.firefox("moved", s.Midstream)
	p.Start()
	received := func() int64 {
		for _, one := range s.CtlSessions() {
			if one.URL == s.url() {
				return one.Received
			}
		}
		return 0
	}
	for i, to := range []string{"wwan0", "wlan0"} {
		s.Await("octets", lab.Patience, func() bool { return received() > int64(i+1)*size/6 })
		for _, m := range s.migrate(to) {
			if !m.OK {
				t.Errorf("not moved: %s", m.Reason)
			}
		}
	}
	s.Await("more octets", lab.Patience, func() bool { return received() > size/2 })
	s.web["wlan0"].Kill()
	s.complete(p, out)
}

// complete waits until the file is there, and ends the browser.
func (s *site) complete(p *lab.Program, out string) {
	s.t.Helper()
	s.Await(out, lab.Patience, func() bool {
		parts, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*"))
		info, err := os.Stat(out)
		return err == nil && info.Size() == size && len(parts) == 1 // that which it was called before is gone
	})
	p.Process.Kill()
	p.Wait()
	s.intact(out, out)
}

// firefox prepares one with a profile of its own that downloads the file.
func (s *site) firefox(label string, with func(...string) *lab.Program) (p *lab.Program, out string) {
	s.t.Helper()
	folder := s.out(label)
	profile := folder + ".profile"
	for _, f := range []string{folder, profile} {
		if err := os.Mkdir(f, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if out, err := exec.Command("sh", "-c", fmt.Sprintf("certutil -N -d sql:%s --empty-password && certutil -A -d sql:%s -n lab -t C,, -i %s", profile, profile, s.ca.certificate)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	prefs := fmt.Sprintf(`user_pref("browser.download.folderList", 2);
user_pref("browser.download.dir", %q);
user_pref("browser.helperApps.neverAsk.saveToDisk", "application/octet-stream");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
user_pref("services.settings.server", "http://127.0.0.1:9");
`, folder)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o644); err != nil {
		s.t.Fatal(err)
	}
	p = with("firefox-esr", "--headless", "--no-remote", "--profile", profile, s.url())
	p.Env = append(p.Env, "HOME="+profile)
	return p, filepath.Join(folder, name)
}
