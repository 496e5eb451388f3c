// Programs makes the table of which programs are served: each downloads natively and under Midstream, from two networks with a
// server of the same name in each; unmoved, moved in mid-file, and with its server killed there; over HTTP and over HTTPS, where the
// servers have certificates of one authority but not the same, and offer HTTP/2.
//
//	go run ./e2e/programs [-install] [-only REGEXP] [-same-leaf] [-lanes N] [-write] [-check]
//
// What is not installed is left out and named; -install installs it first, as root, on Debian. What differs from docs/programs.md is
// named as well; -write writes what was found there. It ends with status 1 where a program got other content, or another status, than
// natively, without its server having been killed, and where nothing is said of one that could not be moved; with -check also where
// something differs from that page.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"midstream/e2e/lab"
)

const documentFile = "docs/programs.md"

func main() {
	install := flag.Bool("install", false, "install what the programs need")
	only := flag.String("only", "", "only the programs whose name matches")
	sameLeaf := flag.Bool("same-leaf", false, "give both servers the same certificate")
	lanes := flag.Int("lanes", runtime.NumCPU()+1, "so many at a time, in laboratories of their own")
	write := flag.Bool("write", false, "write what is found to "+documentFile)
	check := flag.Bool("check", false, "hold "+documentFile+" to be true")
	work := flag.String("lane", "", "for its own use: try the programs that standard input names, with the content of this folder")
	flag.Parse()
	if *work != "" {
		lab.Enter()
		lane(*work, *sameLeaf)
		return
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "programs: -only:", err)
		os.Exit(2)
	}
	if *write && *sameLeaf {
		fmt.Fprintf(os.Stderr, "programs: -write: %s is about servers with certificates of their own\n", documentFile)
		os.Exit(2)
	}
	ok, err := makeTable(pattern, *install, *sameLeaf, *write, *check, *lanes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "programs:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// makeTable prints each program's row as it is found, and then the whole. Whether no program was harmed, and each that was not
// moved had its reason shown, is returned.
func makeTable(pattern *regexp.Regexp, install, sameLeaf, write, check bool, lanes int) (bool, error) {
	d, err := readDocument(documentFile)
	if err != nil {
		return false, err
	}
	release, err := releaseName()
	if err != nil {
		return false, err
	}
	if install {
		installAll(pattern)
	}
	var wanted []program
	var leftOut []string
	for _, p := range programs {
		switch {
		case !pattern.MatchString(p.name):
		case !present(p.needs):
			leftOut = append(leftOut, p.name+" ("+p.packages+")")
		default:
			wanted = append(wanted, p)
		}
	}
	work, err := os.MkdirTemp("", "midstream-programs-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	if err := makeContent(work); err != nil {
		return false, err
	}
	rows, err := tryAll(wanted, work, sameLeaf, lanes)
	if err != nil {
		return false, err
	}
	ok := true
	found := &document{}
	for _, p := range wanted {
		r := rows[p.name]
		ok = ok && r.Fault == ""
		for scheme, c := range r.Cells {
			found.set(p.name, release, scheme, c)
		}
	}
	fmt.Println("\n" + found.table() + "\n" + found.summary())
	if len(leftOut) > 0 {
		fmt.Println("Not installed: " + strings.Join(leftOut, ", "))
	}
	if sameLeaf {
		return ok, nil
	}
	for _, line := range d.differences(found, release) {
		fmt.Println(line)
		ok = ok && !check
	}
	if !write {
		return ok, nil
	}
	for _, r := range found.rows {
		for scheme, c := range r.cells[release] {
			d.set(r.name, release, scheme, c)
		}
	}
	return ok, d.write(documentFile)
}

// releaseName is that of this machine's distribution: "Debian 12".
func releaseName() (string, error) {
	out, err := exec.Command("sh", "-c", `. /etc/os-release && echo "${NAME%% *} $VERSION_ID"`).Output()
	if err != nil {
		return "", fmt.Errorf("which release this is: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// installAll installs the packages of each program by itself, as not every release has all.
func installAll(pattern *regexp.Regexp) {
	for _, p := range programs {
		if !pattern.MatchString(p.name) || p.packages == "" || present(p.needs) {
			continue
		}
		args := append([]string{"install", "-y", "--no-install-recommends"}, strings.Fields(p.packages)...)
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(os.Stderr, "programs: apt-get %s: %v: %s\n", strings.Join(args, " "), err, lines[len(lines)-1])
		}
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
