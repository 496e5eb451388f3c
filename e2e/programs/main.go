// Programs makes the table of which programs are served: each downloads natively and under Midstream, from two networks with a
// server of the same name in each; unmoved, moved in mid-file, and with its server killed there; over HTTP and over HTTPS, where the
// servers have certificates of one authority but not the same, and offer HTTP/2.
//
//	go run ./e2e/programs [-install] [-only REGEXP] [-same-leaf]
//
// What is not installed is left out and named; -install installs it first, as root, on Debian. It ends with status 1 where a program
// got other content, or another status, than natively, without having been moved or its server killed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	host  = "films.example"
	size  = 12 << 20
	rate  = 4 << 20 // octets a second, of each connection
	limit = 60 * time.Second
)

// event is what happens to a download when a third of it has come.
type event int

const (
	unmoved event = iota
	moved
	killed
)

func main() {
	install := flag.Bool("install", false, "install what the programs need")
	only := flag.String("only", "", "only the programs whose name matches")
	sameLeaf := flag.Bool("same-leaf", false, "give both servers the same certificate")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "programs: -only:", err)
		os.Exit(2)
	}
	if *install && os.Getenv("MIDSTREAM_LAB_STAGE") == "" {
		installAll(pattern)
	}
	lab.Enter()
	s := &lab.Stage{}
	t := newTable(s, *sameLeaf)
	for _, p := range programs {
		if pattern.MatchString(p.name) {
			t.try(p)
		}
	}
	t.print()
	s.Clear()
	if t.harmed {
		os.Exit(1)
	}
}

func installAll(pattern *regexp.Regexp) {
	args := []string{"install", "-y", "--no-install-recommends"}
	for _, p := range programs {
		if pattern.MatchString(p.name) && !present(p.needs) {
			args = append(args, strings.Fields(p.packages)...)
		}
	}
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "programs: apt-get %s: %v\n", strings.Join(args, " "), err)
	}
}

func present(needed string) bool {
	if strings.HasPrefix(needed, "/") {
		_, err := os.Stat(needed)
		return err == nil
	}
	_, err := exec.LookPath(needed)
	return err == nil
}

// table is the laboratory, and the rows that are ready.
type table struct {
	*lab.Lab
	t                *lab.Stage
	root, tools, ca  string
	servers          map[string]*lab.Server // of the first network, by scheme
	rows, leftOut    []string
	runs             int
	harmed           bool
	movable, passing map[string]int // programs by scheme: moved, and survived a killed server
}

// try runs one program in all ways.
func (t *table) try(p program) {
	if !present(p.needs) {
		t.leftOut = append(t.leftOut, p.name+" ("+p.packages+")")
		return
	}
	row, notes := "| "+p.name, ""
	for _, scheme := range []string{"http", "https"} {
		if scheme == "https" && p.plain {
			row += " | –"
			continue
		}
		native := t.run(p, scheme, unmoved, false)
		if native.status != 0 {
			row += " | ?"
			notes += fmt.Sprintf(" %s: fails natively: %s", scheme, native.said)
			continue
		}
		var cells []string
		for _, e := range []event{unmoved, moved, killed} {
			r := t.run(p, scheme, e, true)
			intact := r.sum == native.sum && r.status == native.status
			cell := "y"
			switch {
			case !intact && e != killed:
				cell, t.harmed = "**N**", true
				notes += fmt.Sprintf(" %s: status %d, %s;", scheme, r.status, r.said)
			case !intact || e == moved && !r.moved:
				cell = "n"
			}
			if e == moved && !r.moved {
				notes += fmt.Sprintf(" %s: %s;", scheme, r.why)
			}
			if cell == "y" && e == moved {
				t.movable[scheme]++
			}
			if cell == "y" && e == killed {
				t.passing[scheme]++
			}
			cells = append(cells, cell)
		}
		row += " | " + strings.Join(cells, " ")
	}
	row += " |" + strings.TrimSuffix(notes, ";") + " |"
	fmt.Println(row)
	t.rows = append(t.rows, row)
}

// run is what became of one download.
type run struct {
	sum, said, why string
	status         int
	moved          bool
}

func (t *table) run(p program, scheme string, e event, under bool) (r run) {
	t.runs++
	folder := filepath.Join(t.Dir, fmt.Sprint(t.runs))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.t.Fatalf("programs: %v", err)
	}
	defer os.RemoveAll(folder)
	first := t.Networks()[0]
	file := p.file
	if file == "" {
		file = "film.bin"
	}
	base := scheme + "://" + host
	command := t.Command("sh", "-c", p.line)
	if under {
		command = t.Midstream("sh", "-c", p.line)
		if p.reach {
			command = t.Command(lab.Build(t.t, "midstream"), "--reach=all", "--", "sh", "-c", p.line)
		}
	}
	command.Dir = folder
	command.Env = append(command.Env, "URL="+base+"/"+file, "BASE="+base, "SCHEME="+scheme, "HOST="+host, "NAME="+file,
		"OUT="+filepath.Join(folder, "out"), "CA="+t.ca, "TOOLS="+t.tools, "HOME="+folder, "LC_ALL=C.UTF-8")
	before := first.Counters().Received
	command.Start()
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for due := e != unmoved; ; {
		select {
		case <-command.Ended():
			result := command.Wait()
			r.status = result.Status
			r.said = oneLine(result.Stderr)
			r.sum = lab.Sum(filepath.Join(folder, "out"))
			if e == moved && due {
				r.why = "it was over too soon"
			}
			t.restore(scheme, e)
			return r
		case <-deadline:
			command.Process.Signal(os.Interrupt)
			t.end(command)
			t.restore(scheme, e)
			return run{status: -1, said: "it hangs", why: r.why, moved: r.moved}
		case <-tick.C:
		}
		if due && first.Counters().Received-before > size/3 {
			due = false
			switch e {
			case moved:
				r.moved, r.why = t.move()
			case killed:
				t.servers[scheme].Kill()
			}
		}
	}
}

// end ends a program that hangs, and all that it has started.
func (t *table) end(p *lab.Program) {
	exec.Command("kill", "-KILL", "--", fmt.Sprintf("-%d", p.Pid())).Run()
	<-p.Ended()
}

func (t *table) restore(scheme string, e event) {
	if e == killed {
		t.servers[scheme].Restart()
	}
}

// move moves whatever there is to be moved. It says why, where nothing was.
func (t *table) move() (bool, string) {
	var all struct {
		Streams []struct {
			OK     bool
			Reason string
		}
	}
	r := t.Ctl("migrate", "--to", t.Networks()[1].Name, "--json").Run()
	if json.Unmarshal([]byte(r.Stdout), &all) != nil || len(all.Streams) == 0 {
		reasons := map[string]bool{}
		for _, s := range t.CtlSessions() {
			if s.Why != "" {
				reasons[s.Why] = true
			}
		}
		for why := range reasons {
			return false, why
		}
		return false, oneLine("no session " + r.Stderr)
	}
	why := ""
	for _, m := range all.Streams {
		if m.OK {
			return true, ""
		}
		why = m.Reason
	}
	return false, why
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
	if len(text) > 160 {
		text = text[:160] + " …"
	}
	return text
}

func (t *table) print() {
	fmt.Printf("\n| program | http: unmoved, moved, server killed | https | what was shown where it could not move |\n|---|---|---|---|\n%s\n",
		strings.Join(t.rows, "\n"))
	for _, scheme := range []string{"http", "https"} {
		fmt.Printf("\n%s: of %d programs, %d moved, %d went on when their server was killed", scheme, len(t.rows), t.movable[scheme], t.passing[scheme])
	}
	fmt.Println()
	if len(t.leftOut) > 0 {
		fmt.Println("\nNot installed: " + strings.Join(t.leftOut, ", "))
	}
}
