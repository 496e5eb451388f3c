// What processes of other users say is believed of themselves only: root asks them all, and must not take one's for another's.
package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"midstream/core/control"
)

// SessionPID returns the process that a session's id, <pid>-<n>, belongs to.
func SessionPID(id string) (pid int, ok bool) {
	left, right, found := strings.Cut(id, "-")
	pid, err := strconv.Atoi(left)
	_, err2 := strconv.ParseUint(right, 10, 64)
	return pid, found && err == nil && err2 == nil && pid > 0
}

// ownerOf returns the user whose process it is, -1 where there is none.
func ownerOf(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, ids, _ := bytes.Cut(status, []byte("\nUid:"))
	var real, effective int
	if n, _ := fmt.Sscan(string(ids), &real, &effective); n < 2 {
		return -1
	}
	return effective
}

// mayBe reports whether a socket under a process's number may be of one of the user's: it has no other owner.
func mayBe(pid, uid int) bool {
	owner := ownerOf(pid)
	return owner == uid || owner < 0
}

// believed leaves out of an answer what another user's process says of sessions that are not its own.
func (p Process) believed(method string, answer json.RawMessage) json.RawMessage {
	if p.UID == os.Geteuid() {
		return answer
	}
	var result any
	switch method {
	case control.MethodSessions:
		var all []json.RawMessage
		if json.Unmarshal(answer, &all) != nil {
			return answer
		}
		result = slices.DeleteFunc(all, func(one json.RawMessage) bool { return !p.hasSession(one) })
	case control.MethodMigrate, control.MethodUse, control.MethodHold, control.MethodRelease, control.MethodAggregate:
		var moved struct {
			Streams []json.RawMessage `json:"streams"`
		}
		if json.Unmarshal(answer, &moved) != nil {
			return answer
		}
		moved.Streams = slices.DeleteFunc(moved.Streams, func(one json.RawMessage) bool { return !p.hasResult(one) })
		result = moved
	default:
		return answer
	}
	text, err := json.Marshal(result)
	if err != nil {
		return answer // which was JSON
	}
	return text
}

// names reports whether a session's id is one of this process.
func (p Process) names(id string) bool {
	of, ok := SessionPID(id)
	return ok && of == p.PID
}

func (p Process) hasSession(text json.RawMessage) bool {
	var s struct {
		ID  string
		PID int
		Via string
	}
	return json.Unmarshal(text, &s) == nil && p.names(s.ID) && (s.PID == p.PID || s.Via == control.ViaSupervisor && ownerOf(s.PID) == p.UID)
}

func (p Process) hasResult(text json.RawMessage) bool {
	var r struct{ ID string }
	return json.Unmarshal(text, &r) == nil && p.names(r.ID)
}

// hasEvent is likewise of what it says while it is followed.
func (p Process) hasEvent(text json.RawMessage) bool {
	var e struct {
		PID     int
		Session string
	}
	if p.UID == os.Geteuid() {
		return true
	}
	return json.Unmarshal(text, &e) == nil && (p.names(e.Session) || e.Session == "" && e.PID == p.PID)
}
