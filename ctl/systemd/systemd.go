// Package systemd puts services of systemd, and a user's whole session, under Midstream by drop-ins, and says what keeps them from it.
package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"midstream/ctl/client"
	"midstream/ctl/doctor"
	"midstream/ctl/libraries"
)

// Services is where systemd has its units, and how it is asked.
type Services struct {
	User    bool
	Root    string   // of the files: "/", but for tests
	Home    string   // ~/.config
	Library string   // libmidstream.so
	Run     []string // systemctl with its options, nil: it is not there
}

// New returns those of this user, or of the host.
func New(user bool) (Services, error) {
	folder, err := libraries.Libraries()
	if err != nil {
		return Services{}, err
	}
	config, err := os.UserConfigDir()
	if err != nil && user {
		return Services{}, err
	}
	s := Services{User: user, Root: "/", Home: config, Library: filepath.Join(folder, libraries.Names[0])}
	if path, err := exec.LookPath("systemctl"); err == nil {
		s.Run = []string{path}
		if user {
			s.Run = append(s.Run, "--user")
		}
	}
	return s, nil
}

// UnitName completes a unit's name; ok is false where it is no service.
func UnitName(name string) (string, bool) {
	if !strings.Contains(name, ".") || strings.Contains(name, "@") && !strings.HasSuffix(name, ".service") {
		name += ".service"
	}
	return name, strings.HasSuffix(name, ".service") && !strings.ContainsAny(name, "/ \t\n") && name != ".service"
}

// Units are the names of all services, of this user or of the host.
func Units(user bool) (all []string) {
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

// Folder is where the drop-ins of an administrator, or a user, stand: systemd.unit(5).
func (s Services) Folder() string {
	if s.User {
		return filepath.Join(s.Home, "systemd/user")
	}
	return filepath.Join(s.Root, "etc/systemd/system")
}

// DropInName is how drop-ins of Midstream are called.
const DropInName = "60-midstream.conf"

// DropIn is the file that puts a unit under Midstream.
func (s Services) DropIn(unit string) string { return filepath.Join(s.Folder(), unit+".d", DropInName) }

// SessionFile is the one that does so for all of a user's programs.
func (s Services) SessionFile() string { return filepath.Join(s.Home, "environment.d", DropInName) }

// Properties are those of a unit, as systemctl shows them or, where systemd does not run, as its file has them. nil: there is none.
func (s Services) Properties(unit string) (map[string]string, error) {
	if s.Run != nil {
		out, err := exec.Command(s.Run[0], append(slices.Clone(s.Run[1:]), "show", "--no-pager", unit)...).Output()
		if err == nil {
			all := readProperties(string(out))
			if all["LoadState"] == "not-found" {
				return nil, nil
			}
			return all, nil
		}
	}
	folders := []string{s.Folder(), "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}
	if s.User {
		folders = []string{s.Folder(), "run/systemd/user", "etc/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user", "lib/systemd/user"}
	}
	names := []string{unit}
	if name, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, name+"@.service")
	}
	for _, folder := range folders {
		for _, name := range names {
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(s.Root, folder)
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

// Judge says what keeps a service from working under Midstream, what is to be known, and which lines of its own its drop-in needs.
func (s Services) Judge(p map[string]string) (against, notes, lines []string) {
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
			if strings.HasPrefix(s.Library, home) {
				against = append(against, "it does not see "+home+", where Midstream is installed (ProtectHome)")
			}
		}
	}
	other := p["User"] != "" && p["User"] != "root" && p["User"] != "0" || isOn(p["DynamicUser"])
	if closed := doctor.ClosedToOthers(s.Library); other && closed != "" && !s.User {
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
	if !s.User && (isOn(p["PrivateTmp"]) || isOn(p["DynamicUser"]) || p["ProtectSystem"] == "strict") {
		// Its /tmp is its own: the control socket goes where root finds it.
		lines = append(lines, "RuntimeDirectory="+client.UnitsFolder+"/%n", "Environment=MIDSTREAM_RUNTIME_DIR=%t/"+client.UnitsFolder+"/%n/midstream")
		if own := runtimeDirectories(p["RuntimeDirectory"]); own != "" {
			lines = append(lines, "Environment=RUNTIME_DIRECTORY="+own)
		}
		notes = append(notes, "its sockets are in "+filepath.Join("/run", client.UnitsFolder)+", where root's midstreamctl finds them")
	}
	preload := s.Library
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

// WithoutOurs are the properties of a unit without the drop-in that an earlier enable has left: from the whole it could not be told what
// the unit itself says. putBack restores that drop-in.
func (s Services) WithoutOurs(unit string) (p map[string]string, putBack func(), err error) {
	file := s.DropIn(unit)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = s.Properties(unit)
		return p, func() {}, err
	}
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		return nil, func() {}, err
	}
	s.Reload()
	putBack = func() {
		WriteFile(file, string(text)) // which it was possible to remove
		s.Reload()
	}
	if p, err = s.Properties(unit); err != nil {
		putBack()
	}
	return p, putBack, err
}

// Systemctl is the line that a person types.
func (s Services) Systemctl(words string) string {
	switch {
	case s.User:
		return "systemctl --user " + words
	case os.Geteuid() == 0:
		return "systemctl " + words
	}
	return "sudo systemctl " + words
}

// Reload has systemd read its units again; it returns what a person has to type for it, where it could not be asked.
func (s Services) Reload() string {
	if s.Run != nil && exec.Command(s.Run[0], append(slices.Clone(s.Run[1:]), "daemon-reload")...).Run() == nil {
		return ""
	}
	return s.Systemctl("daemon-reload") + "; "
}

// Preloaded reports whether the library is loaded in a process, whatever its runtime folder.
func Preloaded(pid int) bool {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	return err == nil && bytes.Contains(maps, []byte("/"+libraries.Names[0]))
}

// WriteFile replaces a file as a whole.
func WriteFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
