// Whose a stream is: of this process, or, in a supervisor, of one whose connections it carries.
package controller

import (
	"fmt"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/smallfile"
)

// owner is the process that a stream's connection is for.
type owner struct {
	pid, fd int
	command string
	via     string // control.ViaSupervisor, or ""
}

func (c *Controller) ownerOf(o channel.Opening) owner {
	if o.ForPID == 0 {
		return owner{c.pid, o.FD, c.command, ""}
	}
	line, err := smallfile.Read(fmt.Sprintf("/proc/%d/cmdline", o.ForPID))
	if err != nil {
		line = nil // it has ended already
	}
	return owner{o.ForPID, o.ForFD, commandLine(line), control.ViaSupervisor}
}

// of leaves those of a process among streams; 0, or this process itself, means all.
func (c *Controller) of(pid int, streams []*Stream) []*Stream {
	if pid == 0 || pid == c.pid {
		return streams
	}
	var chosen []*Stream
	for _, s := range streams {
		if s.owner.pid == pid {
			chosen = append(chosen, s)
		}
	}
	return chosen
}
