// Deciding: which streams are to change their interface now, and why; and what was decided against.
package manager

import (
	"fmt"
	"slices"
	"time"
)

// The triggers of a Decision.
const (
	TriggerUse    = "use"    // a person asked for the interface
	TriggerWhen   = "when"   // a conditional trigger fired
	TriggerRule   = "rule"   // of the policy
	TriggerBetter = "better" // the other interface is better by the policy's order
	TriggerServer = "server" // another server is preferred on the same interface
	TriggerAvoid  = "avoid"  // the stream was on an interface that the policy forbids
)

// Decision is that a stream is to be moved.
type Decision struct {
	Session string `json:"session"`
	PID     int    `json:"pid"`
	From    string `json:"from"`
	To      string `json:"to"`
	Trigger string `json:"trigger"`
	Cause   string `json:"cause"` // a sentence
}

// Declined is a change that would have been for better, and that was decided against. It is told once, until the
// reason changes.
type Declined struct {
	Session string `json:"session"`
	PID     int    `json:"pid"`
	To      string `json:"to"`
	Reason  string `json:"reason"`
}

// Verdict is what Evaluate has come to.
type Verdict struct {
	Decisions []Decision
	Declined  []Declined
	// Fired are the conditional triggers whose conditions have come true; what they order is in force in the
	// engine, and is to be noted by whoever keeps the directives.
	Fired []When
}

// asked is what was decided for a stream last.
type asked struct {
	to       string
	at       time.Time
	pending  bool // no outcome yet
	failures int
}

// Limits of what is decided for one stream.
const (
	outcomeLimit = 30 * time.Second // a decision without an outcome for so long is forgotten
	retryFirst   = 5 * time.Second  // after a first failure
	retryMost    = 5 * time.Minute
	worthTime    = 2 * time.Second // a change for better pays if so much is left at the present rate,
	worthOctets  = 1 << 20         // or so many octets where the rate is not known
)

// Evaluate decides for all streams reported. Each decision is to be carried out, and its outcome told by Outcome. Before
// a change for better it asks the process, if ask is not nil; it waits for the answers as long as ask does.
func (e *Engine) Evaluate(ask Asker) Verdict {
	var out Verdict
	e.mu.Lock()
	defer e.mu.Unlock()
	doubtful := e.evaluate(&out, ask != nil)
	if len(doubtful) > 0 {
		e.mu.Unlock()
		answers := inquire(ask, doubtful)
		e.mu.Lock()
		e.review(doubtful, answers, &out)
	}
	return out
}

// evaluate decides on the reports, and returns what is to be asked about. With e.mu.
func (e *Engine) evaluate(out *Verdict, asks bool) (doubtful []Decision) {
	e.fire(out)
	v := e.view()
	ids := make([]string, 0, len(e.reports))
	for id := range e.reports {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r := e.reports[id]
		if a := e.asked[id]; a.pending && v.at.Sub(a.at) < outcomeLimit {
			continue
		}
		d, reason := e.decide(v, r.Stream)
		switch {
		case d == nil && reason == "":
			delete(e.against, id)
		case reason != "":
			if d == nil {
				d = &Decision{Session: id, PID: r.PID}
			}
			e.decline(d, reason, out)
		case asks && forBetter(d):
			doubtful = append(doubtful, *d)
		default:
			delete(e.against, id)
			e.ask(id, d.To, v.at)
			out.Decisions = append(out.Decisions, *d)
		}
	}
	return doubtful
}

func (e *Engine) ask(id, to string, now time.Time) {
	a := e.asked[id]
	if a.to != to {
		a = asked{to: to}
	}
	a.at, a.pending = now, true
	e.asked[id] = a
}

// Outcome tells what came of a decision; err is nil if the stream has moved. Another migration of the same stream
// may be told as well.
func (e *Engine) Outcome(session, to string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.asked[session]
	if a.to != to && err != nil {
		return
	}
	a.to, a.pending, a.at = to, false, e.now()
	if err == nil {
		a.failures = 0
		if r, ok := e.reports[session]; ok {
			// Until the next report.
			r.Interface, r.Moved = to, e.now()
			e.reports[session] = r
		}
	} else {
		a.failures++
	}
	e.asked[session] = a
}

// fire looks at the conditional triggers. With e.mu.
func (e *Engine) fire(out *Verdict) {
	v := e.view()
	held := map[string]bool{}
	for _, w := range e.directives.Expire(v.at).Whens {
		if w.compiled == nil {
			continue
		}
		if !w.compiled.OfSession() {
			held[w.ID] = w.compiled.Holds(&v.vars)
			if held[w.ID] && !e.fired[w.ID] {
				e.directives.Use = w.target()
				e.once(w, out)
			}
			continue
		}
		for id, r := range e.reports {
			key := w.ID + " " + id
			held[key] = r.Active && w.compiled.Holds(v.session(r.Stream))
			if !held[key] || e.fired[key] {
				continue
			}
			if i := v.by[w.Use]; i != nil && i.Usable() && !i.Never && r.Movable && r.Interface != w.Use {
				e.ask(id, w.Use, v.at)
				out.Decisions = append(out.Decisions, Decision{
					Session: id, PID: r.PID, From: r.Interface, To: w.Use, Trigger: TriggerWhen,
					Cause: "the condition came true: " + w.Condition,
				})
			}
			if e.once(w, out); w.Once {
				break
			}
		}
	}
	e.fired = held
}

// once notes that a trigger has fired. With e.mu.
func (e *Engine) once(w When, out *Verdict) {
	out.Fired = append(out.Fired, w)
	if w.Once {
		e.directives.Drop(w.ID)
	}
}

// target is what directives have for the trigger's interface.
func (w *When) target() string {
	if w.Use == Auto {
		return ""
	}
	return w.Use
}

// decide says where the stream is to go, nil if nowhere. With a reason it is not to go there after all.
func (e *Engine) decide(v *view, s Stream) (d *Decision, reason string) {
	on := v.by[s.Interface]
	if on == nil || !on.Usable() {
		return nil, "" // a failure, which is dealt with elsewhere; or the loopback interface
	}
	if s.Held && !on.Captive && e.forbidden(v, on, s) == "" {
		return nil, "" // no ranking undoes what a person asked for
	}
	to, trigger, cause := e.wanted(v, s, on)
	if to == "" || to == s.Interface {
		return nil, ""
	}
	d = &Decision{Session: s.ID, PID: s.PID, From: s.Interface, To: to, Trigger: trigger, Cause: cause}
	if a := e.asked[s.ID]; a.to == to && a.failures > 0 && v.at.Sub(a.at) < backOff(a.failures) {
		return nil, ""
	}
	if !s.Movable {
		return d, fmt.Sprintf("not moved to %s (%s): %s", to, cause, s.Why)
	}
	if trigger == TriggerUse || trigger == TriggerAvoid {
		return d, ""
	}
	if !s.Active {
		return nil, "" // an idle connection costs nothing where it is
	}
	if why := e.hold(v, s, to); why != "" {
		return d, fmt.Sprintf("not moved to %s (%s): %s", to, cause, why)
	}
	return d, ""
}

func backOff(failures int) time.Duration {
	return min(retryFirst<<min(failures-1, 10), retryMost)
}

// wanted is where the stream would be best.
func (e *Engine) wanted(v *view, s Stream, on *Interface) (to, trigger, cause string) {
	if use := e.used(s.PID); use != "" {
		if i := v.by[use]; i != nil && i.Usable() && !i.Never {
			return use, TriggerUse, "a person asked for " + use
		}
	}
	if to, cause = e.chosen(v, s); to != "" {
		return to, TriggerRule, cause
	}
	names, forbidden := e.order(v, s)
	if why, no := forbidden[s.Interface]; no {
		if len(names) == 0 || forbidden[names[0]] != "" {
			return "", "", ""
		}
		return names[0], TriggerAvoid, why
	}
	// The best for which it is worth moving.
	for _, name := range names {
		i := v.by[name]
		if name == s.Interface {
			break
		}
		if _, no := forbidden[name]; no || len(i.Routes) == 0 {
			continue
		}
		if c, why := e.better(i, on); c < 0 && why.moves(e, i, on) && (!i.Dearer(on) || why.pays) {
			return name, TriggerBetter, e.reason(why, i, itself) + ", unlike " + on.Name
		}
	}
	return "", "", ""
}

// hold says why a change for better has to wait or does not pay, "" if it may be made.
func (e *Engine) hold(v *view, s Stream, to string) string {
	dwell := e.config.Policy.Dwell
	if !s.Moved.IsZero() && v.at.Sub(s.Moved) < dwell {
		return fmt.Sprintf("it has been on %s for less than %v", s.Interface, dwell)
	}
	if stable := e.stable[to]; stable != nil && v.at.Before(stable.settles(dwell, v.at)) {
		return fmt.Sprintf("%s has not been usable for %v yet", to, stable.settles(dwell, v.at).Sub(stable.since))
	}
	left := s.Remaining()
	switch {
	case left < 0:
	case s.Rate > 0:
		if time.Duration(float64(left)*8/s.Rate*float64(time.Second)) < worthTime {
			return "it is nearly done"
		}
	case left < worthOctets:
		return "it is nearly done"
	}
	return ""
}
