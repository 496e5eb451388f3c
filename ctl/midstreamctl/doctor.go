// midstreamctl doctor: looks at the host for what stands in the way of moving downloads, and says what to type.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/ctl/command"
	"midstream/ctl/doctor"
	"midstream/ctl/table"
)

const doctorLong = `Looks at this host for what stands in the way of moving downloads: the installation, the
configuration, interfaces and their routes, rules by source address, reverse-path
filtering, name servers, tunnels, captive portals, and programs. Of each finding it says
what to type. Without --reach nothing is sent.

With PROGRAMs it looks at those only: whether Midstream can be preloaded into them, and
which of their downloads can be moved.`

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
		return command.Done(diagnose(e, args, host, port, *asJSON))
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

func diagnose(e *environment, programs []string, host string, port uint16, asJSON bool) int {
	var f doctor.Findings
	if len(programs) == 0 {
		e.lookAtInstallation(&f)
		cfg, err := config.Load(config.Find())
		if err != nil {
			f.Add(doctor.Problem, "configuration", err.Error(), "$EDITOR "+config.Find())
			cfg = config.Default()
		} else if cfg.File != "" {
			f.Add(doctor.Fine, "configuration", cfg.File+" is right")
		}
		e.config = cfg
		list, _ := e.survey()
		f.Networks(cfg, list)
		if host != "" {
			f.Reach(e.ctx, list, host, port)
		}
		f.Programs(doctor.Installed(), false)
	} else {
		f.Programs(programs, true)
	}
	status := exitOK
	for _, one := range f {
		if one.Weight == doctor.Problem {
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
	return e.flush(f.Text(table.Width(os.Stdout)), status)
}

// lookAtInstallation looks at versions, at the runtime folder, and at who may read the libraries.
func (e *environment) lookAtInstallation(f *doctor.Findings) {
	found, wrong := installedVersions()
	for _, w := range wrong {
		f.Add(doctor.Problem, "installation", w)
	}
	if len(wrong) == 0 {
		f.Add(doctor.Fine, "installation", "Midstream "+strings.TrimPrefix(strings.SplitN(found[0], " (", 2)[0], "libmidstream.so ")+", its libraries in "+folderOf(found[0]))
	}
	for _, w := range e.otherVersions() {
		f.Add(doctor.Note, "versions", w)
	}
	dir, given := control.RuntimeDir(), os.Getenv(control.EnvRuntimeDir) != ""
	if err := control.CheckRuntimeDir(dir, given); err != nil && exists(dir) {
		f.Add(doctor.Problem, "runtime folder", err.Error(), "chmod 700 "+dir)
	}
	if library := folderOf(strings.Join(found, "")); library != "" && os.Geteuid() == 0 {
		if closed := doctor.ClosedToOthers(filepath.Join(library, "libmidstream.so")); closed != "" {
			f.Add(doctor.Note, "installation", closed+" is closed to other users: programs of root that become one (apt-get) cannot load Midstream there",
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
