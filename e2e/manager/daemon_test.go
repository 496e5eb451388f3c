// midstreamd, which decides for all programs while it runs.

package manager

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestDaemonDecidesForAllAndItsLossDisturbsNothing(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\ndwell = \"0s\"\n[[policy.rules]]\nwhen = 'wlan0.congestion > 0.5'\nuse = \"wwan0\"\n[[policy.rules]]\nwhen = 'wwan0.congestion > 0.5'\nuse = \"wlan0\"\n")
	daemon := s.daemon()
	a, b := s.download(), s.download()
	a.on("wlan0")
	b.on("wlan0")
	w := a.watch()
	s.ctl("hint", "wlan0", "congestion=0.9", "--expire", "1h")
	a.on("wwan0")
	b.on("wwan0")
	w.saw("trigger", "rule 1")
	// The daemon knows what both have measured.
	s.Await("the streams of both", limit, func() bool { return s.interfaces()["wwan0"].Throughput > rate*8*3/2 })

	daemon.Process.Kill()
	<-daemon.Ended()
	w.saw("manager", "midstreamd has gone")
	// Each process decides again, and still knows of the hint.
	s.ctl("hint", "wwan0", "congestion=0.9")
	s.ctl("hint", "wlan0", "congestion=0")
	a.on("wlan0")
	b.on("wlan0")

	s.daemon()
	w.saw("manager", "midstreamd decides")
	s.ctl("hint", "wwan0", "congestion=")
	s.ctl("hint", "wlan0", "congestion=0.7")
	x := a.on("wwan0")
	b.on("wwan0")
	if len(x.Migrations) != 3 {
		t.Errorf("%+v", x.Migrations)
	}
	a.whole()
	b.whole()
}

// The daemon asks before it moves a download for better: what it says of its decision is the download's state by then,
// and whoever does not answer is left where it is.
func TestDaemonAsksBeforeItDecides(t *testing.T) {
	for _, run := range []string{"midstreamd", "in the process"} {
		t.Run(run, func(t *testing.T) {
			s := newStage(t)
			s.Configure("[policy]\ndwell = \"0s\"\n")
			if run == "midstreamd" {
				s.daemon()
			}
			d := s.download()
			d.on("wlan0")
			w := d.watch()
			s.ctl("hint", "wwan0", "preferred=true")
			d.on("wwan0")
			w.saw("trigger", " MB are left")
			if run != "midstreamd" {
				d.stop()
				return
			}
			heard := s.Ctl("watch", "--json").Start()
			d.Process.Signal(syscall.SIGSTOP)
			s.ctl("hint", "wwan0", "preferred=")
			s.ctl("hint", "wlan0", "preferred=true")
			time.Sleep(3 * time.Second) // three looks
			heard.Process.Signal(os.Interrupt)
			if r := heard.Wait(); !strings.Contains(r.Stdout, "has not said within") {
				t.Errorf("%v", r)
			}
			d.Process.Signal(syscall.SIGCONT)
			d.on("wlan0")
			d.whole()
		})
	}
}

func TestDaemonFollowsUseAndWhen(t *testing.T) {
	s := newStage(t)
	s.daemon()
	a, b := s.download(), s.download()
	a.on("wlan0")
	b.on("wlan0")
	s.ctl("use", "wwan0", "--pid", strconv.Itoa(a.Pid()))
	a.on("wwan0")
	s.ctl("when", "wlan0.cost > 5", "use", "wwan0", "--once")
	s.ctl("hint", "wlan0", "cost=9")
	b.on("wwan0")
	s.Await("the trigger to be forgotten", limit, func() bool { return s.ctl("when") == "no triggers" })
	if x := b.session(); len(x.Migrations) != 1 {
		t.Errorf("%+v", x.Migrations)
	}
	if i := s.interfaces()["wwan0"]; !strings.Contains(i.Why, "a person asked for") {
		t.Errorf("%+v", i)
	}
	a.stop()
	b.stop()
}

func TestDaemonRefusesAWrongConfigurationAndASecondOfItself(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\n[[policy.rules]]\nwhen = 'wlan0.nonsense > 1'\nuse = \"wwan0\"\n")
	r := s.Command(lab.Build(t, "midstreamd")).Run()
	if r.Status != 2 || !strings.Contains(r.Stderr, `an interface has no "nonsense"`) || !strings.Contains(r.Stderr, filepath.Base(s.ConfigFile())+":") {
		t.Errorf("%v", r)
	}
	if r := s.Midstream("true").Run(); r.Status != 2 || !strings.Contains(r.Stderr, "nonsense") {
		t.Errorf("the launcher: %v", r)
	}
	s.Configure("")
	s.daemon()
	if r := s.Command(lab.Build(t, "midstreamd")).Run(); r.Status != 1 || !strings.Contains(r.Stderr, "another process listens there") {
		t.Errorf("%v", r)
	}
}
