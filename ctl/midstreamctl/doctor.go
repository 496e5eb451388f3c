// midstreamctl doctor: looks at the host for what stands in the way of moving downloads, and says what to type.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/command"
)

const doctorLong = `Looks at this host for what stands in the way of moving downloads: the installation, the
configuration, interfaces and their routes, rules by source address, reverse-path
filtering, name servers, tunnels, captive portals, and programs. Of each finding it says
what to type. Without --reach nothing is sent.

With PROGRAMs it looks at those only: whether Midstream can be preloaded into them, and
which of their downloads can be moved.`

// The weights of a finding.
const (
	fine    = "ok"
	note    = "note"    // worth knowing
	problem = "problem" // keeps downloads from being moved, or may
)

// finding is one thing that doctor has looked at.
type finding struct {
	Weight string   `json:"weight"`
	About  string   `json:"about"`
	Text   string   `json:"text"`
	Do     []string `json:"do"` // lines to type, or to write into a file that the first names
}

// findings are collected in the order in which they are told.
type findings []finding

func (f *findings) add(weight, about, text string, do ...string) {
	*f = append(*f, finding{weight, about, text, append([]string{}, do...)})
}

func doctorCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "doctor [PROGRAM…] [--reach HOST[:PORT]] [--json]", Short: "look for what stands in the way, and say what to type",
		Long: doctorLong, Args: cobra.ArbitraryArgs}
	reach := c.Flags().String("reach", "", "look the `HOST` up over each interface, and connect to it (port 443, else 80)")
	asJSON := jsonFlag(c, "one JSON array of findings: weight (ok, note, problem), about, text, do")
	completes(c, map[string]completer{"reach": e.completeHosts}, nil)
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	e.command(c, "0 no problem; 1 there are some; 2 wrong usage", nil)
	c.RunE = func(c *cobra.Command, args []string) error {
		host, port, ok := hostAndPort(*reach)
		if *reach != "" && !ok {
			e.wrong(c, "--reach: %q is no HOST or HOST:PORT", *reach)
			return command.Status(exitUsage)
		}
		return command.Done(doctor(e, args, host, port, *asJSON))
	}
	return c
}

// hostAndPort reads HOST or HOST:PORT; port 0 where none is given.
func hostAndPort(text string) (host string, port uint16, ok bool) {
	host = text
	if at := strings.LastIndexByte(text, ':'); at > strings.LastIndexByte(text, ']') && strings.Count(text[:at], ":") == 0 || strings.Contains(text, "]:") {
		n, err := strconv.ParseUint(text[at+1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		host, port = text[:at], uint16(n)
	}
	host = strings.Trim(host, "[]")
	return host, port, host != "" && !strings.ContainsAny(host, "/ @?#")
}

func doctor(e *environment, programs []string, host string, port uint16, asJSON bool) int {
	var f findings
	if len(programs) == 0 {
		e.lookAtInstallation(&f)
		cfg, err := config.Load(config.Find())
		if err != nil {
			f.add(problem, "configuration", err.Error(), "$EDITOR "+config.Find())
			cfg = config.Default()
		} else if cfg.File != "" {
			f.add(fine, "configuration", cfg.File+" is right")
		}
		e.config = cfg
		e.lookAtNetworks(&f, host, port)
		f.lookAtPrograms(installed(), false)
	} else {
		f.lookAtPrograms(programs, true)
	}
	status := exitOK
	for _, one := range f {
		if one.Weight == problem {
			status = exitFailed
		}
	}
	if asJSON {
		text, err := json.Marshal(f)
		if err != nil {
			e.complain("doctor: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	return e.flush(f.text(terminalWidth(os.Stdout)), status)
}

// text writes them for people: one a paragraph, what is to be typed on lines of its own.
func (f findings) text(width int) []byte {
	if width <= 0 || width > 100 {
		width = 100
	}
	about := 0
	for _, one := range f {
		about = max(about, min(utf8.RuneCountInString(one.About), 16))
	}
	var b bytes.Buffer
	problems := 0
	for _, one := range f {
		if one.Weight == problem {
			problems++
		}
		head := fmt.Sprintf("%-7s  %-*s  ", one.Weight, about, display.Line(one.About))
		indent := strings.Repeat(" ", 7+2+about+2)
		for i, line := range command.Wrap(display.Line(one.Text), max(width-len(indent), 30)) {
			if i > 0 {
				head = indent
			}
			fmt.Fprintf(&b, "%s%s\n", head, line)
		}
		for _, line := range one.Do {
			fmt.Fprintf(&b, "%s    %s\n", indent, display.Line(line))
		}
	}
	switch problems {
	case 0:
		fmt.Fprintln(&b, "No problem has been found.")
	case 1:
		fmt.Fprintln(&b, "One problem has been found.")
	default:
		fmt.Fprintf(&b, "%d problems have been found.\n", problems)
	}
	return b.Bytes()
}

// lookAtInstallation looks at versions, at the runtime folder, and at who may read the libraries.
func (e *environment) lookAtInstallation(f *findings) {
	found, wrong := installedVersions()
	for _, w := range wrong {
		f.add(problem, "installation", w)
	}
	if len(wrong) == 0 {
		f.add(fine, "installation", "Midstream "+strings.TrimPrefix(strings.SplitN(found[0], " (", 2)[0], "libmidstream.so ")+", its libraries in "+folderOf(found[0]))
	}
	for _, w := range e.otherVersions() {
		f.add(note, "versions", w)
	}
	dir, given := control.RuntimeDir(), os.Getenv(control.EnvRuntimeDir) != ""
	if err := control.CheckRuntimeDir(dir, given); err != nil && exists(dir) {
		f.add(problem, "runtime folder", err.Error(), "chmod 700 "+dir)
	}
	if library := folderOf(strings.Join(found, "")); library != "" && os.Geteuid() == 0 {
		if closed := closedToOthers(filepath.Join(library, "libmidstream.so")); closed != "" {
			f.add(note, "installation", closed+" is closed to other users: programs of root that become one (apt-get) cannot load Midstream there",
				"chmod o+x "+closed)
		}
	}
}

// folderOf is what installedVersions has in brackets.
func folderOf(line string) string {
	_, rest, _ := strings.Cut(line, "(")
	folder, _, _ := strings.Cut(rest, ")")
	return folder
}

// closedToOthers returns the first folder on the way to a file that other users may not enter, "" if there is none.
func closedToOthers(file string) string {
	for i, c := range file {
		if path := file[:i]; c == '/' && i > 0 {
			if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o001 == 0 {
				return path
			}
		}
	}
	return ""
}
