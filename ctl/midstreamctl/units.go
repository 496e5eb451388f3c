// midstreamctl enable, disable, status: puts services of systemd, and a user's whole session, under Midstream by drop-ins.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"midstream/ctl/client"
	"midstream/ctl/doctor"
	"midstream/ctl/libraries"
)

const enableLong = `Has systemd start a service under Midstream from its next start on, by a drop-in beside its
unit. Before that it is looked whether the service can work under it: its program, its
sandbox, its user.

With --user-session it is all programs of this user's, from the next login on, by
environment.d(5). Programs of another architecture then say at their start that the library
cannot be preloaded, and go on. Disable it before Midstream is removed: a package knows nothing of
it, and every program would say at its start that the library is gone.`

const disableLong = `Takes back what "midstreamctl enable" has done. What runs goes on as it is until it is
started again.`

const statusLong = `Says whether a service is enabled, whether what runs now is under Midstream, and what keeps it
from it. Without a UNIT, all that are enabled are listed.`

// services is where systemd has its units, and how it is asked.
type services struct {
	user    bool
	root    string   // of the files: "/", but for tests
	home    string   // ~/.config
	library string   // libmidstream.so
	run     []string // systemctl with its options, nil: it is not there
}

func newServices(user bool) (services, error) {
	folder, err := libraries.Libraries()
	if err != nil {
		return services{}, err
	}
	config, err := os.UserConfigDir()
	if err != nil && user {
		return services{}, err
	}
	s := services{user: user, root: "/", home: config, library: filepath.Join(folder, libraries.Names[0])}
	if path, err := exec.LookPath("systemctl"); err == nil {
		s.run = []string{path}
		if user {
			s.run = append(s.run, "--user")
		}
	}
	return s, nil
}

// unitFlags are those of all three.
func unitFlags(c *cobra.Command) (user, session *bool) {
	return c.Flags().Bool("user", false, "a service of this user's, not of the host's"),
		c.Flags().Bool("user-session", false, "all programs of this user's sessions")
}

// unitCommand makes one of the three.
func unitCommand(e *environment, use, short, long, exits string, least int, each func(s services, unit string) int, whole func(s services) int) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	user, session := unitFlags(c)
	completes(c, nil, func(args []string) []string { return completeUnits(args, *user) })
	return e.command(c, exits, func(c *cobra.Command, args []string) int {
		all := len(args) == 0 && (*session || least == 0)
		if !all && (*session || len(args) != 1) {
			return e.wrong(c, "name one UNIT, or --user-session")
		}
		unit, ok := "", true
		if !all {
			unit, ok = unitName(args[0])
		}
		if !ok {
			return e.wrong(c, "%q is no service: only those start programs", args[0])
		}
		s, err := newServices(*user || *session)
		switch {
		case err != nil:
			e.complain("%s: %v", c.Name(), err)
			return exitFailed
		case all:
			return whole(s)
		}
		return each(s, unit)
	})
}

func enableCommand(e *environment) *cobra.Command {
	return unitCommand(e, "enable UNIT [--user] | --user-session", "have a service, or all of a user's programs, started under Midstream", enableLong,
		"0; 1 it cannot work under Midstream, or it could not be written; 2 wrong usage or configuration; 3 there is no such service", 1,
		func(s services, unit string) int { return e.enable(s, unit) },
		func(s services) int { return e.enableSession(s) })
}

func disableCommand(e *environment) *cobra.Command {
	return unitCommand(e, "disable UNIT [--user] | --user-session", "take that back", disableLong,
		"0; 1 it could not be taken back; 2 wrong usage or configuration; 3 it was not enabled", 1,
		func(s services, unit string) int { return e.disable(s, s.dropIn(unit), unit) },
		func(s services) int { return e.disable(s, s.sessionFile(), "the session") })
}

func statusCommand(e *environment) *cobra.Command {
	return unitCommand(e, "status [UNIT] [--user] | [--user-session]", "say whether a service is under Midstream, or can be", statusLong,
		"0 it is enabled; 1 it could not be found out; 2 wrong usage or configuration; 3 it is not enabled", 0,
		func(s services, unit string) int { return e.status(s, unit) },
		func(s services) int { return e.statusOfAll(s) })
}

// unitName completes a unit's name; ok is false where it is no service.
func unitName(name string) (string, bool) {
	if !strings.Contains(name, ".") || strings.Contains(name, "@") && !strings.HasSuffix(name, ".service") {
		name += ".service"
	}
	return name, strings.HasSuffix(name, ".service") && !strings.ContainsAny(name, "/ \t\n") && name != ".service"
}

func completeUnits(args []string, user bool) (all []string) {
	if len(args) > 0 {
		return nil
	}
	options := []string{"list-unit-files", "--type=service", "--no-legend", "--plain", "--no-pager"}
	if user {
		options = append(options, "--user")
	}
	out, _ := exec.Command("systemctl", options...).Output()
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 0 {
			all = append(all, f[0])
		}
	}
	return all
}

// folder is where the drop-ins of an administrator, or a user, stand: systemd.unit(5).
func (s services) folder() string {
	if s.user {
		return filepath.Join(s.home, "systemd/user")
	}
	return filepath.Join(s.root, "etc/systemd/system")
}

const dropInName = "60-midstream.conf"

func (s services) dropIn(unit string) string { return filepath.Join(s.folder(), unit+".d", dropInName) }

func (s services) sessionFile() string { return filepath.Join(s.home, "environment.d", dropInName) }

// properties are those of a unit, as systemctl shows them or, where systemd does not run, as its file has them. nil: there is none.
func (s services) properties(unit string) (map[string]string, error) {
	if s.run != nil {
		out, err := exec.Command(s.run[0], append(slices.Clone(s.run[1:]), "show", "--no-pager", unit)...).Output()
		if err == nil {
			all := readProperties(string(out))
			if all["LoadState"] == "not-found" {
				return nil, nil
			}
			return all, nil
		}
	}
	folders := []string{s.folder(), "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}
	if s.user {
		folders = []string{s.folder(), "run/systemd/user", "etc/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user", "lib/systemd/user"}
	}
	names := []string{unit}
	if name, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, name+"@.service")
	}
	for _, folder := range folders {
		for _, name := range names {
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(s.root, folder)
			}
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err == nil {
				return readProperties(string(text)), nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return nil, nil
}

// readProperties reads lines of KEY=VALUE, which both have; of several, values are joined.
func readProperties(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if before := all[key]; before != "" {
			value = before + " " + value
		}
		all[key] = value
	}
	return all
}

// programOf is the program of ExecStart: "/usr/bin/x -a", or "{ path=/usr/bin/x ; argv[]=… }".
func programOf(execStart string) string {
	if _, rest, ok := strings.Cut(execStart, "path="); ok && strings.HasPrefix(execStart, "{") {
		path, _, _ := strings.Cut(rest, " ")
		return path
	}
	word, _, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(execStart), "@-:+!|"), " ")
	return word
}

func isOn(value string) bool {
	switch value {
	case "", "no", "false", "0", "off":
		return false
	}
	return true
}

// judge says what keeps a service from working under Midstream, what is to be known, and which lines of its own its drop-in needs.
func (s services) judge(p map[string]string) (against, notes, lines []string) {
	program := programOf(p["ExecStart"])
	if program != "" {
		if limit := doctor.LauncherSays(program, "--reach=off"); limit != "" {
			against = append(against, limit)
		}
	}
	if isOn(p["PrivateNetwork"]) {
		against = append(against, "it has no network (PrivateNetwork)")
	}
	for _, key := range []string{"RootDirectory", "RootImage"} {
		if p[key] != "" {
			against = append(against, "it has a root folder of its own, in which there is no Midstream ("+key+")")
		}
	}
	if isOn(p["ProtectHome"]) && p["ProtectHome"] != "read-only" {
		for _, home := range []string{"/home/", "/root/", "/run/user/"} {
			if strings.HasPrefix(s.library, home) {
				against = append(against, "it does not see "+home+", where Midstream is installed (ProtectHome)")
			}
		}
	}
	other := p["User"] != "" && p["User"] != "root" && p["User"] != "0" || isOn(p["DynamicUser"])
	if closed := doctor.ClosedToOthers(s.library); other && closed != "" && !s.user {
		against = append(against, closed+" is closed to its user (chmod o+x "+closed+")")
	}
	if p["NoExecPaths"] != "" && strings.Contains(p["NoExecPaths"], "/") {
		notes = append(notes, "what it may execute is limited (NoExecPaths): the library has to be in ExecPaths")
	}
	if families := p["RestrictAddressFamilies"]; families != "" && !strings.HasPrefix(families, "~") {
		missing := ""
		for _, family := range []string{"AF_NETLINK", "AF_UNIX"} {
			if !slices.Contains(strings.Fields(families), family) {
				missing += " " + family
			}
		}
		if missing != "" {
			notes = append(notes, "its drop-in allows it"+missing+" as well, by which networks are known and midstreamctl is answered")
			lines = append(lines, "RestrictAddressFamilies="+strings.TrimSpace(missing))
		}
	}
	if p["SystemCallFilter"] != "" {
		notes = append(notes, "its system calls are filtered: where that does not let Midstream work, it stays out (SystemCallFilter)")
	}
	if !s.user && (isOn(p["PrivateTmp"]) || isOn(p["DynamicUser"]) || p["ProtectSystem"] == "strict") {
		// Its /tmp is its own: the control socket goes where root finds it.
		lines = append(lines, "RuntimeDirectory="+client.UnitsFolder+"/%n", "Environment=MIDSTREAM_RUNTIME_DIR=%t/"+client.UnitsFolder+"/%n/midstream")
		if own := runtimeDirectories(p["RuntimeDirectory"]); own != "" {
			lines = append(lines, "Environment=RUNTIME_DIRECTORY="+own)
		}
		notes = append(notes, "its sockets are in "+filepath.Join("/run", client.UnitsFolder)+", where root's midstreamctl finds them")
	}
	preload := s.library
	for _, library := range preloadsOf(p["Environment"]) {
		if filepath.Base(library) != libraries.Names[0] {
			preload += ":" + library
		}
	}
	return against, notes, append(lines, "Environment=LD_PRELOAD="+preload)
}

// runtimeDirectories is what systemd says in RUNTIME_DIRECTORY of a service that asks for these folders: ours beside them is not for the program.
func runtimeDirectories(asked string) string {
	var all []string
	for _, folder := range strings.Fields(asked) {
		folder, _, _ = strings.Cut(folder, ":") // what follows is a link to it
		all = append(all, "%t/"+folder)
	}
	return strings.Join(all, ":")
}

// preloadsOf are the libraries of the last LD_PRELOAD in Environment=, where words may stand in quotes: systemd.exec(5), ld.so(8).
func preloadsOf(environment string) (all []string) {
	quote := rune(0)
	words := strings.FieldsFunc(environment, func(r rune) bool {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
			return true
		case r == quote:
			quote = 0
			return true
		}
		return quote == 0 && (r == ' ' || r == '\t')
	})
	for _, word := range words {
		if value, ok := strings.CutPrefix(word, "LD_PRELOAD="); ok {
			all = strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' })
		}
	}
	return all
}

// withoutOurs are the properties of a unit without the drop-in that an earlier enable has left: from the whole it could not be told what
// the unit itself says. putBack restores that drop-in.
func (s services) withoutOurs(unit string) (p map[string]string, putBack func(), err error) {
	file := s.dropIn(unit)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = s.properties(unit)
		return p, func() {}, err
	}
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		return nil, func() {}, err
	}
	s.reload()
	putBack = func() {
		writeFile(file, string(text)) // which it was possible to remove
		s.reload()
	}
	if p, err = s.properties(unit); err != nil {
		putBack()
	}
	return p, putBack, err
}

func (e *environment) enable(s services, unit string) int {
	p, putBack, err := s.withoutOurs(unit)
	switch {
	case err != nil:
		e.complain("enable: %v%s", err, asRoot(err, "enable "+unit))
		return exitFailed
	case p == nil:
		putBack()
		e.complain("enable: there is no service %s; systemctl list-unit-files lists them", unit)
		return exitNone
	}
	against, notes, lines := s.judge(p)
	for _, a := range against {
		e.complain("enable: %s cannot work under Midstream: %s", unit, a)
	}
	if len(against) > 0 {
		putBack()
		return exitFailed
	}
	text := "# Made by midstreamctl enable; midstreamctl disable takes it away.\n[Service]\n" + strings.Join(lines, "\n") + "\n"
	if err := writeFile(s.dropIn(unit), text); err != nil {
		e.complain("enable: %v%s", err, asRoot(err, "enable "+unit))
		return exitFailed
	}
	reloaded := s.reload()
	for _, n := range notes {
		e.say(exitOK, "%s: %s", unit, n)
	}
	return e.say(exitOK, "%s is under Midstream from its next start on (%s); now: %s%s", unit, s.dropIn(unit), reloaded, s.systemctl("restart "+unit))
}

// systemctl is the line that a person types.
func (s services) systemctl(words string) string {
	switch {
	case s.user:
		return "systemctl --user " + words
	case os.Geteuid() == 0:
		return "systemctl " + words
	}
	return "sudo systemctl " + words
}

// reload has systemd read its units again; it returns what a person has to type for it, where it could not be asked.
func (s services) reload() string {
	if s.run != nil && exec.Command(s.run[0], append(slices.Clone(s.run[1:]), "daemon-reload")...).Run() == nil {
		return ""
	}
	return s.systemctl("daemon-reload") + "; "
}

func (e *environment) enableSession(s services) int {
	text := "# Made by midstreamctl enable --user-session; midstreamctl disable --user-session takes it away: environment.d(5).\n" +
		"LD_PRELOAD=" + s.library + "${LD_PRELOAD:+:$LD_PRELOAD}\n"
	if err := writeFile(s.sessionFile(), text); err != nil {
		e.complain("enable: %v", err)
		return exitFailed
	}
	return e.say(exitOK, "all programs of your sessions are under Midstream from the next login on (%s)", s.sessionFile())
}

func (e *environment) disable(s services, file, what string) int {
	err := os.Remove(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.complain("disable: %s is not enabled: there is no %s", what, file)
		return exitNone
	case err != nil:
		e.complain("disable: %v%s", err, asRoot(err, "disable "+what))
		return exitFailed
	}
	os.Remove(filepath.Dir(file)) // if nothing else is in it
	if file == s.sessionFile() {
		return e.say(exitOK, "your sessions are without Midstream from the next login on")
	}
	reloaded := s.reload()
	return e.say(exitOK, "%s is without Midstream from its next start on; now: %s%s", what, reloaded, s.systemctl("restart "+what))
}

func (e *environment) status(s services, unit string) int {
	p, err := s.properties(unit)
	if err != nil {
		e.complain("status: %v", err)
		return exitFailed
	}
	if p == nil {
		e.complain("status: there is no service %s; systemctl list-unit-files lists them", unit)
		return exitNone
	}
	status, word := exitOK, "enabled: "+s.dropIn(unit)
	if !exists(s.dropIn(unit)) {
		status, word = exitNone, "not enabled"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", unit, word)
	if pid, _ := strconv.Atoi(p["MainPID"]); pid > 0 {
		switch {
		case preloadedAnywhere(pid):
			fmt.Fprintf(&b, "  process %d is under Midstream\n", pid)
		case status == exitOK:
			fmt.Fprintf(&b, "  process %d is not: it was started before; %s\n", pid, s.systemctl("restart "+unit))
		default:
			fmt.Fprintf(&b, "  process %d is not under Midstream\n", pid)
		}
	}
	against, notes, _ := s.judge(p)
	for _, a := range against {
		fmt.Fprintf(&b, "  it cannot work under Midstream: %s\n", a)
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	return e.flush(b.Bytes(), status)
}

// preloadedAnywhere reports whether the library is loaded in a process, whatever its runtime folder.
func preloadedAnywhere(pid int) bool {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	return err == nil && bytes.Contains(maps, []byte("/"+libraries.Names[0]))
}

func (e *environment) statusOfAll(s services) int {
	files, _ := filepath.Glob(filepath.Join(s.folder(), "*.service.d", dropInName))
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s: enabled: %s\n", strings.TrimSuffix(filepath.Base(filepath.Dir(f)), ".d"), f)
	}
	if exists(s.sessionFile()) {
		fmt.Fprintf(&b, "sessions of this user: enabled: %s\n", s.sessionFile())
	}
	if b.Len() == 0 {
		return e.say(exitNone, "nothing is enabled")
	}
	return e.flush(b.Bytes(), exitOK)
}

// writeFile replaces a file as a whole.
func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func asRoot(err error, words string) string {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return "; sudo midstreamctl " + words + ", or with --user for a service of your own"
	}
	return ""
}
