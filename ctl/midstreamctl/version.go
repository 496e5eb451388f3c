// midstreamctl --version: which version of Midstream this is, and what of another version is installed or runs.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/release"
	"midstream/ctl/client"
	"midstream/ctl/libraries"
	"midstream/ctl/unfollowed"
)

// versions prints them; what does not match is complained of.
func (e *environment) versions() int {
	var b bytes.Buffer
	fmt.Fprintf(&b, "midstreamctl %s\n", release.Version)
	found, wrong := installedVersions()
	for _, f := range found {
		fmt.Fprintln(&b, f)
	}
	wrong = append(wrong, e.otherVersions()...)
	status := e.flush(b.Bytes(), exitOK)
	for _, w := range wrong {
		e.complain("%s", w)
		status = exitFailed
	}
	return status
}

// installedVersions are those of the libraries, and what is wrong with them.
func installedVersions() (found, wrong []string) {
	folder, err := libraries.Libraries()
	if err != nil {
		return nil, []string{err.Error()}
	}
	for _, name := range libraries.Names {
		path := filepath.Join(folder, name)
		version, err := libraries.Of(path)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		found = append(found, fmt.Sprintf("%s %s (%s)", name, display.Line(version), folder))
		if version != release.Version {
			wrong = append(wrong, fmt.Sprintf("%s is of Midstream %s, and this is %s: build or install Midstream again", path, version, release.Version))
		}
	}
	return found, wrong
}

// otherVersions says which processes run another version than this one.
func (e *environment) otherVersions() (wrong []string) {
	list, err := client.Processes()
	if err != nil {
		return []string{err.Error()}
	}
	if path := daemonPath(); exists(path) {
		list = append(list, client.Process{Path: path, UID: os.Geteuid()})
	}
	return e.versionsOf(list)
}

// versionsOf says which of the processes run another version.
func (e *environment) versionsOf(list []client.Process) (wrong []string) {
	for _, a := range client.AskAll[string](e.ctx, list, client.AnswerLimit, control.MethodVersion, nil) {
		version := a.Result
		if a.Err != nil {
			version = "an earlier version" // that knows of none
		}
		if a.Err == nil && version == release.Version {
			continue
		}
		if a.PID == 0 {
			wrong = append(wrong, fmt.Sprintf("midstreamd runs Midstream %s, and this is %s: systemctl restart it", version, release.Version))
		} else {
			wrong = append(wrong, fmt.Sprintf("process %d (%s) runs Midstream %s, and this is %s: it has this one when it is started again",
				a.PID, display.Shorten(unfollowed.CommandOf(a.PID), 40), version, release.Version))
		}
	}
	return wrong
}
