// Asking before deciding: a change for better is made on what the process says now, not on what it reported last.
package manager

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"midstream/core/guard"
)

// AskLimit is how long a process has to answer. One that does not is not told to do anything for better: it may have
// been stopped, or be at its end.
const AskLimit = 300 * time.Millisecond

// Question is the manager's to a process.
type Question struct {
	Number   int64    `json:"number"`
	Sessions []string `json:"sessions"`
}

// Needs are the answer.
type Needs struct {
	PID    int    `json:"pid"`
	Number int64  `json:"number"` // of the question
	Needs  []Need `json:"needs"`
}

// Need is what one stream needs, as of now.
type Need struct {
	Stream
	// To are the interfaces over which the process could continue it; nil where it does not know.
	To []string `json:"to"`
	// Not are those over which its exchange has been refused before, with the reason.
	Not map[string]string `json:"not,omitempty"`
}

// Asker puts a question to a process, and returns its answer; nil where none has come within AskLimit. It is called
// for several processes at once.
type Asker func(pid int, sessions []string) []Need

// says is the part of a decision's cause that the answer has given.
func (n *Need) says() string {
	left := n.Remaining()
	switch {
	case left < 0:
		return "how much is left is not known"
	case n.Rate > 0:
		return fmt.Sprintf("%.1f MB are left, at %s", float64(left)/1e6, bits(n.Rate))
	}
	return fmt.Sprintf("%.1f MB are left", float64(left)/1e6)
}

// obstacle says why the stream cannot go there, "" if it can.
func (n *Need) obstacle(to string) string {
	if why, refused := n.Not[to]; refused {
		return "it was refused there before: " + why
	}
	if n.To != nil && !slices.Contains(n.To, to) {
		return "the process cannot use it"
	}
	return ""
}

// forBetter are the decisions that wait for an answer.
func forBetter(d *Decision) bool { return d.Trigger == TriggerBetter || d.Trigger == TriggerRule }

// inquire asks the processes of the decisions, all at once, and returns the answers by session.
func inquire(ask Asker, decisions []Decision) map[string]Need {
	sessions := map[int][]string{}
	for _, d := range decisions {
		sessions[d.PID] = append(sessions[d.PID], d.Session)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[string]Need{}
	for pid, list := range sessions {
		wg.Go(func() {
			defer guard.Recover()
			needs := ask(pid, list)
			mu.Lock()
			defer mu.Unlock()
			for _, n := range needs {
				if n.PID == pid && slices.Contains(list, n.ID) {
					answers[n.ID] = n
				}
			}
		})
	}
	wg.Wait()
	return answers
}

// review decides anew about what was decided on a report, with the answers. With e.mu.
func (e *Engine) review(decisions []Decision, answers map[string]Need, out *Verdict) {
	v := e.view()
	for _, first := range decisions {
		id := first.Session
		r, there := e.reports[id]
		if !there {
			continue // it has ended meanwhile
		}
		n, answered := answers[id]
		if !answered {
			e.put(id, first.To)
			e.decline(&first, fmt.Sprintf("not moved to %s (%s): process %d has not said within %v what it needs", first.To, first.Cause, first.PID, AskLimit), out)
			continue
		}
		if n.Rate == 0 {
			n.Rate = r.Rate
		}
		r.Stream = n.Stream
		e.reports[id] = r
		d, reason := e.decide(v, n.Stream)
		if d == nil {
			delete(e.against, id)
			continue
		}
		if why := n.obstacle(d.To); reason == "" && why != "" {
			reason = fmt.Sprintf("not moved to %s (%s): %s", d.To, d.Cause, why)
			e.put(id, d.To)
		}
		if reason != "" {
			e.decline(d, reason, out)
			continue
		}
		d.Cause += "; " + n.says()
		delete(e.against, id)
		e.ask(id, d.To, v.at)
		out.Decisions = append(out.Decisions, *d)
	}
}

// put notes an answer against a move as a move that has failed: it is not asked for again at once. With e.mu.
func (e *Engine) put(id, to string) {
	a := e.asked[id]
	if a.to != to {
		a = asked{to: to}
	}
	a.at, a.pending = e.now(), false
	a.failures++
	e.asked[id] = a
}

// decline tells once what was decided against. With e.mu.
func (e *Engine) decline(d *Decision, reason string, out *Verdict) {
	if e.against[d.Session] != reason {
		e.against[d.Session] = reason
		out.Declined = append(out.Declined, Declined{Session: d.Session, PID: d.PID, To: d.To, Reason: reason})
	}
}
