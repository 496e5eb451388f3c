// Small exchanges on a kept-alive connection, of which nobody is told before somebody has to know.

package migration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// obedient reads lines "COUNT TARGET", fetches that so many times on one connection, and says what it got.
const obedient = `
import hashlib, http.client, sys
c = http.client.HTTPConnection("download.example", timeout=60)
for line in sys.stdin:
    count, target = line.split()
    digest = hashlib.sha256()
    for i in range(int(count)):
        c.request("GET", target, headers={"Cookie": "a=b"})
        r = c.getresponse()
        digest.update(r.read(1000))
        if r.length:
            print("begun", target, flush=True)
        digest.update(r.read())
    print("got", count, target, r.status, digest.hexdigest(), flush=True)
`

// servant is a running obedient program.
type servant struct {
	*job
	in    io.WriteCloser
	lines int
}

func (s *site) servant(under bool) *servant {
	s.t.Helper()
	v := &servant{job: s.job(under, "python3", "-c", obedient)}
	var err error
	if v.in, err = v.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	v.Start()
	return v
}

func (v *servant) order(count int, target string) { fmt.Fprintf(v.in, "%d %s\n", count, target) }

// says waits for the program's next line that begins so.
func (v *servant) says(word string) {
	v.s.t.Helper()
	v.s.Await("the program to say "+word, waitLimit, func() bool {
		out, _ := v.Output()
		all := strings.SplitAfter(out, "\n")
		for ; v.lines < len(all)-1; v.lines++ {
			if strings.HasPrefix(all[v.lines], word) {
				v.lines++
				return true
			}
		}
		select {
		case <-v.Ended():
			v.s.t.Fatalf("it has ended: %v", v.Wait())
		default:
		}
		return false
	})
}

// fetch orders and waits.
func (v *servant) fetch(count int, target string) {
	v.s.t.Helper()
	v.order(count, target)
	v.says("got")
}

// switches is how often threads of the process other than the program's own have gone to sleep.
func (v *servant) switches() (sum int) {
	v.s.t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", v.Pid()))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if strings.Contains(task, fmt.Sprintf("/task/%d/", v.Pid())) {
			continue
		}
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(strings.TrimSpace(line))
		sum += n
	}
	return sum
}

func TestSmallExchangesAreToldOfOnlyWhenSomebodyAsks(t *testing.T) {
	s := newSite(t)
	s.file("film.mkv", 3<<20)
	s.file("small", 100)
	s.file("other", 200)
	s.steady(1 << 20)

	run := func(v *servant, during func(step string)) lab.Result {
		v.fetch(3, "/small")
		during("first")
		v.fetch(3000, "/small")
		during("many")
		v.fetch(50, "/other")
		during("idle")
		v.fetch(50, "/other")
		v.order(1, "/film.mkv")
		v.says("begun")
		during("moved")
		v.says("got")
		v.fetch(50, "/small")
		v.order(1, "/film.mkv")
		v.says("begun")
		during("failed")
		v.says("got")
		during("end")
		v.in.Close()
		return v.Wait()
	}
	native := run(s.servant(false), func(string) {})
	v := s.servant(true)
	before := 0
	under := run(v, func(step string) {
		switch step {
		case "first":
			v.await("the first exchange", func(s lab.Session) bool { return s.State == "idle" })
			before = v.switches()
		case "many":
			// Each message wakes a thread of the core's; some are woken in any case.
			if n := v.switches() - before; n > 3000 {
				t.Errorf("3000 small exchanges have woken other threads %d times", n)
			}
		case "idle":
			all := v.sessions()
			if len(all) != 1 || all[0].URL != url("other") || all[0].State != "idle" || all[0].Received != 200 || !all[0].Movable {
				t.Errorf("%+v", all)
			}
			v.mustMigrate("wwan0")
		case "moved":
			if session := v.sessions()[0]; session.URL != url("film.mkv") || session.State != "active" || session.Interface != "wwan0" {
				t.Errorf("%+v", session)
			}
			v.mustMigrate("wlan0")
		case "failed":
			s.web["wlan0"].Kill()
		case "end":
			if session := v.sessions()[0]; session.Interface != "wwan0" || session.Received != 3<<20 {
				t.Errorf("%+v", session)
			}
		}
	})
	lab.Compare(t, native, under)
}

func TestWhoeverWatchesSeesEveryExchange(t *testing.T) {
	s := newSite(t)
	s.file("small", 100)
	s.file("other", 200)
	s.steady(1 << 20)
	v := s.servant(true)
	v.fetch(500, "/small")
	watch := s.Ctl("watch")
	watch.Env = append(watch.Env, "MIDSTREAM_RUNTIME_DIR="+v.runtime)
	watch.Start()
	seen := func(name string) int {
		out, _ := watch.Output()
		return strings.Count(out, "received all of "+url(name))
	}
	s.Await("the watcher", waitLimit, func() bool {
		v.fetch(1, "/small")
		return seen("small") > 0
	})
	v.fetch(100, "/other")
	s.Await("every exchange", waitLimit, func() bool { return seen("other") == 100 })
	watch.Process.Signal(os.Interrupt)
	watch.Wait()
	v.in.Close()
	if r := v.Wait(); r.Status != 0 {
		t.Error(r)
	}
}
