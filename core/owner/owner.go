// Package owner says whose a stream is: of this process, or, in a supervisor, of one whose connections it carries.
package owner

import (
	"fmt"
	"strings"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/smallfile"
)

// Owner is the process that a stream's connection is for.
type Owner struct {
	PID, FD int
	Command string // its command line
	Via     string // control.ViaSupervisor, or ""
}

// Of returns the owner of what has been opened in this process, which is called so.
func Of(o channel.Opening, pid int, command string) Owner {
	if o.ForPID == 0 {
		return Owner{pid, o.FD, command, ""}
	}
	return Owner{o.ForPID, o.ForFD, commandOf(fmt.Sprint(o.ForPID)), control.ViaSupervisor}
}

// Command is this process's command line.
func Command() string { return commandOf("self") }

func commandOf(pid string) string {
	line, err := smallfile.Read("/proc/" + pid + "/cmdline")
	if err != nil {
		return "" // it has ended already
	}
	return commandLine(line)
}

// longest is how much of a command line is kept, in octets.
const longest = 512

func commandLine(b []byte) string {
	line := strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " ")
	return strings.ToValidUTF8(line[:min(len(line), longest)], "?")
}
