// One program, tried in all ways.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	host  = "films.example"
	size  = 12 << 20
	rate  = 4 << 20 // octets a second, of each connection
	limit = 90 * time.Second

	nearlyAll = size * 7 / 8 // of what follows, nothing can be told
)

// event is what happens to a download when half of it has come: a server sends what it may send in the first second at once.
type event int

const (
	unmoved event = iota
	moved
	killed // the server it comes from, for good
)

// table is a laboratory in which programs are tried.
type table struct {
	*lab.Lab
	t         *lab.Stage
	tools, ca string
	servers   map[string][]*lab.Server // by scheme; the first network's first
	runs      int
}

// cell is what became of a program with one scheme. Marks are of unmoved, moved and killed: y where the content and the exit status
// are those of the undisturbed program, n where not or where it was not moved, N where that is Midstream's doing; of killed, s where the
// program gets there natively as well. Why is what was shown where it could not be moved.
type cell struct{ Marks, Why string }

// row is what became of a program. Fault is what ought not to be: it was harmed, or nothing was said of one that could not be moved.
type row struct {
	Name  string
	Cells map[string]cell
	Notes []string
	Fault string
}

var schemes = []string{"http", "https"}

func (r row) String() string {
	text := r.Name
	for _, scheme := range schemes {
		if c, ok := r.Cells[scheme]; ok {
			text += fmt.Sprintf("; %s: %s", scheme, c.Marks)
			if c.Why != "" {
				text += ", " + c.Why
			}
		}
	}
	for _, note := range r.Notes {
		text += "\n    " + note
	}
	if r.Fault != "" {
		text += "\n    FAULT: " + r.Fault
	}
	return text
}

func (t *table) try(p program) row {
	r := row{Name: p.name, Cells: map[string]cell{}}
	for _, scheme := range schemes {
		if p.plain && scheme != "http" {
			r.Cells[scheme] = cell{Marks: "–"}
			continue
		}
		native := t.run(p, scheme, unmoved, false)
		if native.status != 0 {
			r.Cells[scheme] = cell{Marks: "?"}
			r.Notes = append(r.Notes, fmt.Sprintf("%s: fails natively: %s", scheme, native.said))
			continue
		}
		var marks []string
		why := ""
		for _, e := range []event{unmoved, moved, killed} {
			got := t.run(p, scheme, e, true)
			// On a busy machine a moment is missed now and then.
			for tries := 0; tries < 3 && got.late && got.as(native); tries++ {
				got = t.run(p, scheme, e, true)
			}
			mark := "y"
			switch {
			case !got.as(native) && e != killed:
				mark = "N"
				r.Fault = fmt.Sprintf("%s: status %d, %s", scheme, got.status, got.said)
			case e == moved && !got.moved:
				mark, why = "n", got.why
				if why == "" || got.late {
					r.Fault = scheme + ": nothing is said of why it was not moved: " + got.why
				}
			case e == killed && !got.as(native):
				mark = "n"
				r.Notes = append(r.Notes, fmt.Sprintf("%s, server killed: status %d %s", scheme, got.status, got.said))
			case e == killed && t.killedNatively(p, scheme).as(native):
				mark = "s"
			case e == killed && !got.elsewhere:
				mark = "n"
				r.Fault = scheme + ": it went on without the other server"
			}
			marks = append(marks, mark)
		}
		r.Cells[scheme] = cell{strings.Join(marks, " "), why}
	}
	return r
}

// killedNatively is what becomes of it without Midstream when its server is killed.
func (t *table) killedNatively(p program, scheme string) run {
	got := t.run(p, scheme, killed, false)
	for tries := 0; tries < 3 && got.late; tries++ {
		got = t.run(p, scheme, killed, false)
	}
	return got
}

// run is what became of one download.
type run struct {
	sum, said, why string
	status         int
	moved          bool
	elsewhere      bool // the second network's server was asked
	late           bool // nearly all had come already when its event was due
}

// as says whether the content and the exit status are the same.
func (r run) as(native run) bool { return r.sum == native.sum && r.status == native.status }

func (t *table) run(p program, scheme string, e event, under bool) (r run) {
	t.runs++
	folder := filepath.Join(t.Dir, fmt.Sprint(t.runs))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.t.Fatalf("programs: %v", err)
	}
	defer os.RemoveAll(folder)
	first, second := t.servers[scheme][0], t.servers[scheme][1]
	file := p.file
	if file == "" {
		file = "film.bin"
	}
	base := scheme + "://" + host
	command := t.Command("sh", "-c", p.line)
	launcher := lab.Build(t.t, "midstream")
	switch {
	case under && p.direct:
		command.Env = append(command.Env, "UNDER="+launcher+" --")
	case under && p.reach:
		command = t.Command(launcher, "--reach=all", "--", "sh", "-c", p.line)
	case under:
		command = t.Midstream("sh", "-c", p.line)
	}
	out := filepath.Join(folder, "out")
	command.Dir = folder
	command.Env = append(command.Env, "URL="+base+"/"+file, "BASE="+base, "SCHEME="+scheme, "HOST="+host, "NAME="+filepath.Base(file),
		"OUT="+out, "CA="+t.ca, "TOOLS="+t.tools, "HOME="+folder, "LC_ALL=C.UTF-8")
	asked := len(second.Requests())
	before := first.Network.Counters().Received
	come := func() int64 { return first.Network.Counters().Received - before }
	command.Start()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for due := e != unmoved; ; {
		over := false
		select {
		case <-command.Ended():
			over = true
			result := command.Wait()
			r.status, r.said, r.sum = result.Status, oneLine(result.Stderr), lab.Sum(out)
		case <-deadline:
			over = true
			t.end(command)
			r.status, r.said = -1, "it hangs"
		case <-tick.C:
		}
		if over {
			if due {
				r.late, r.why = true, "it was over too soon"
			}
			os.Chown(t.RuntimeDir(), os.Getuid(), os.Getgid()) // one that became another user, and hangs, has not given it back
			r.elsewhere = t.wasAsked(second, asked, e)
			if e == killed {
				first.Restart()
			}
			return r
		}
		if due && come() > size/2 {
			due = false
			switch e {
			case moved:
				r.moved, r.why, r.late = t.move(func() bool { return come() > nearlyAll })
			case killed:
				first.Kill()
				r.late = come() > nearlyAll
			}
		}
	}
}

// wasAsked says whether a server has answered since: it writes that down when its answer is at its end, which the program may
// know a moment earlier.
func (t *table) wasAsked(s *lab.Server, before int, e event) bool {
	for tries := 0; ; tries++ {
		if len(s.Requests()) > before {
			return true
		}
		if e != killed || tries == 20 {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// end ends a program that hangs, and all that it has started.
func (t *table) end(p *lab.Program) {
	exec.Command("kill", "-KILL", "--", fmt.Sprintf("-%d", p.Pid())).Run()
	<-p.Ended()
}

// move moves whatever there is to be moved; a core that is still being loaded is waited for, until it is too late. It says what was
// shown where nothing was moved, "" if nothing; and whether it was too late.
func (t *table) move(over func() bool) (moved bool, why string, late bool) {
	for {
		var all struct{ Streams []lab.Moved }
		r := t.Ctl("migrate", "--to", t.Networks()[1].Name, "--json").Run()
		reasons := map[string]bool{}
		json.Unmarshal([]byte(r.Stdout), &all)
		for _, m := range all.Streams {
			if m.OK {
				return true, "", false
			}
			reasons[m.Reason] = true
		}
		if len(reasons) == 0 {
			for _, s := range t.CtlSessions() {
				reasons[s.Why] = true
			}
		}
		delete(reasons, "")
		var sorted []string
		for why := range reasons {
			sorted = append(sorted, why)
		}
		sort.Strings(sorted)
		why = oneLine(strings.Join(sorted, "; "))
		loading := why == "" || strings.Contains(why, "no HTTP request has been seen") || strings.Contains(why, "has no control socket")
		if late = loading && over(); late || !loading {
			return false, why, late
		}
	}
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
	if len(text) > 300 {
		text = text[:300] + " …"
	}
	return text
}
