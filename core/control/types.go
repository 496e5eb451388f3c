// What the messages are about: sessions, migrations, events.
package control

import (
	"encoding/json"
	"syscall"
	"time"
)

// Time is a point in time that is written as RFC 3339, UTC, with milliseconds.
type Time struct{ time.Time }

// Now returns the present.
func Now() Time { return Time{time.Now()} }

// UnmarshalJSON reads it.
func (t *Time) UnmarshalJSON(text []byte) error { return t.Time.UnmarshalJSON(text) }

// MarshalJSON writes it as said above.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// The states of a Session.
const (
	StateIdle      = "idle"      // a kept-alive connection between two exchanges
	StateActive    = "active"    // an exchange is under way
	StateMigrating = "migrating" // it is being moved
	StateDone      = "done"      // its stream has ended
)

// Session is a stream with its current exchange.
type Session struct {
	ID         string      `json:"id"` // "<pid>-<n>": unique among the host's processes
	PID        int         `json:"pid"`
	FD         int         `json:"fd"`
	Command    string      `json:"command"`
	Via        string      `json:"via,omitempty"` // ViaSupervisor where another process carries the connection, which ID then begins with
	URL        string      `json:"url"`
	State      string      `json:"state"`
	Interface  string      `json:"interface"`
	Server     string      `json:"server"`   // address:port
	Received   int64       `json:"received"` // octets of content
	Length     *int64      `json:"length"`   // octets of content in all, nil where unknown
	Movable    bool        `json:"movable"`
	Why        string      `json:"why"` // why it is not movable, or, where it is, which servers it is bound to; "" where it may go to any
	Migrations []Migration `json:"migrations"`
	TLS        *TLS        `json:"tls,omitempty"`  // nil where the stream carries plain HTTP
	Held       *Held       `json:"held,omitempty"` // nil where the program is not held
	Kept       bool        `json:"kept,omitempty"` // a person wants it to stay, and its program to be held for as long as it takes
	// Objects are those that its process has received whole, on this connection and others; nil where there are none yet.
	Objects *Objects `json:"objects,omitempty"`
	// Play is how far the film is that its process is handed, where that is known: MPEG-TS, or fragmented MP4.
	Play *Play `json:"play,omitempty"`
	// Paths feed it together; none where its own connection alone does.
	Paths []Path `json:"paths,omitempty"`
}

// Objects are answers that a process has received to their end.
type Objects struct {
	Count int64    `json:"count"`
	Last  []Object `json:"last"` // the newest first; those that were over within milliseconds are counted only
}

// Object is one of them.
type Object struct {
	URL    string `json:"url"`
	Octets int64  `json:"octets"` // of content
}

// Play is content in play time.
type Play struct {
	HandedS float64  `json:"handed_s"`           // that the process has been handed, of the film's segments so far
	BufferS *float64 `json:"buffer_s,omitempty"` // of that, what a player has still to play; nil while it leaves octets unread
}

// Path is one of several that feed a session together.
type Path struct {
	Interface   string  `json:"interface"`
	Server      string  `json:"server"`      // address:port, "" before it has had a connection
	Octets      int64   `json:"octets"`      // that it has brought
	Rate        int64   `json:"rate"`        // octets a second
	RTTMS       float64 `json:"rtt_ms"`      // round trip
	Outstanding int64   `json:"outstanding"` // octets asked for that have not come
	Why         string  `json:"why"`         // it is not in use, "" where it is
}

// Held is said of a program that does not know yet that its connection has ended.
type Held struct {
	Since Time   `json:"since"`
	Until *Time  `json:"until,omitempty"` // when it is told at the latest, nil where that is not known yet
	Why   string `json:"why"`
}

// HeldSince describes a program whose connection has ended with errno, 0 for FIN, and whose last attempt has met that. until is zero where it
// is not known.
func HeldSince(since, until time.Time, errno syscall.Errno, met string) *Held {
	h := &Held{Since: Time{since}, Why: "its connection has ended"}
	if errno != 0 {
		h.Why += " (" + errno.Error() + ")"
	}
	if met != "" {
		h.Why += "; the last attempt: " + met
	}
	if !until.IsZero() {
		h.Until = &Time{until}
	}
	return h
}

// ReleaseParams are those of MethodRelease, and of MethodHold; both have a MigrateResult.
type ReleaseParams struct {
	Session string `json:"session,omitempty"` // one only; "" means all of the process
}

// ViaSupervisor is Session.Via where midstream-supervisor carries the connection of a program that nothing can be preloaded into.
const ViaSupervisor = "supervisor"

// AggregateParams are those of MethodAggregate; its result is a MigrateResult.
type AggregateParams struct {
	On      bool   `json:"on"`
	Session string `json:"session,omitempty"` // one only; "" means all of the process
}

// TLS is what is known of a stream's TLS session, as the program made it.
type TLS struct {
	Library string `json:"library"` // with its version
	Version string `json:"version"` // of the protocol
	ALPN    string `json:"alpn"`    // "" where none was agreed upon
}

// MarshalJSON writes no migrations as an empty list, never as null.
func (s Session) MarshalJSON() ([]byte, error) {
	type plain Session
	if s.Migrations == nil {
		s.Migrations = []Migration{}
	}
	return json.Marshal(plain(s))
}

// End is one side of a migration.
type End struct {
	Interface string `json:"interface"`
	Server    string `json:"server"` // address:port
}

// The kinds of delivery after a hand-over.
const (
	DeliveryDirect   = "direct"
	DeliveryRelayed  = "relayed"
	DeliveryGap      = "relayed after a gap" // octets are missing: live.gaps
	DeliveryTogether = "together"            // relayed, from several connections at once
	DeliveryReframed = "reframed"            // direct, but over TLS, and in another framing than the new server's
)

// Migration is one that took place.
type Migration struct {
	At       Time    `json:"at"`
	Trigger  string  `json:"trigger"` // what asked for it
	From     End     `json:"from"`
	To       End     `json:"to"`
	Offset   int64   `json:"offset"` // octets of content that came before the hand-over
	Delivery string  `json:"delivery"`
	StallMS  float64 `json:"stall_ms"`
}

// MigrateParams says what is to be moved where.
type MigrateParams struct {
	To        string `json:"to"`                   // interface
	Session   string `json:"session,omitempty"`    // one only; "" means all of the process
	PID       int    `json:"pid,omitempty"`        // of a supervisor's, those of this process only; 0, or its own, means all
	TimeoutMS int64  `json:"timeout_ms,omitempty"` // 1 to MaxTimeoutMS; 0 means the configured one
}

// MaxTimeoutMS is the longest time-out of a migration that can be asked for: ten minutes.
const MaxTimeoutMS = 600_000

// MigrateResult says what came of each selected stream; none were selected where it is empty.
type MigrateResult struct {
	Streams []StreamResult `json:"streams"`
}

// StreamResult is what came of one stream.
type StreamResult struct {
	ID        string     `json:"id"`
	OK        bool       `json:"ok"`
	Reason    string     `json:"reason"` // why it did not move, "" where it did
	Migration *Migration `json:"migration"`
}

// The kinds of an Event.
const (
	EventOpened    = "opened"    // a stream is tracked
	EventExchange  = "exchange"  // a request went out on it
	EventTrigger   = "trigger"   // a migration was asked for
	EventMigration = "migration" // a stream has moved
	EventRefused   = "refused"   // it could not be moved
	EventFailure   = "failure"   // a connection has ended, is cut off, or is silent
	EventHeld      = "held"      // the program is kept waiting, for its connection has ended
	EventStandby   = "standby"   // a connection is kept ready
	EventDone      = "done"      // an exchange is complete
	EventClosed    = "closed"    // the stream has ended
	EventDeclined  = "declined"  // a change for better was decided against
	EventManager   = "manager"   // who decides, or what is known of the interfaces, has changed
)

// Event is something that happened.
type Event struct {
	At      Time           `json:"at"`
	Kind    string         `json:"kind"`
	PID     int            `json:"pid"`
	Session string         `json:"session"` // "" where it is about the process
	Text    string         `json:"text"`    // for people, one line
	Fields  map[string]any `json:"fields,omitempty"`
	// Skipped is how many events before this one the watcher was too slow for.
	Skipped uint64 `json:"skipped,omitempty"`
}

// UseParams are those of MethodUse.
type UseParams struct {
	// Interface and PID are set where one process is to use an interface, "auto" for automatic choice, or ""
	// to follow again what holds for all.
	Interface string `json:"interface,omitempty"`
	PID       int    `json:"pid,omitempty"`
}

// AttachParams are those of MethodAttach.
type AttachParams struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// OutcomeParams are those of MethodOutcome.
type OutcomeParams struct {
	Session string `json:"session"`
	To      string `json:"to"`
	Error   string `json:"error,omitempty"`
}

// Milliseconds writes a time as the control program shows it, to a hundredth of a millisecond.
func Milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
