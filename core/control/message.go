// Package control is the control socket of a process under Midstream: its place, its messages, and
// the server that answers them. This file holds the envelope: JSON-RPC 2.0, one message a line.
package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxLine is how many octets a request may have, its newline not counted.
const MaxLine = 1 << 20

// The error codes: those of JSON-RPC 2.0, section 5.1, and in its range for servers, ours.
const (
	CodeParse      = -32700 // the line is not JSON
	CodeRequest    = -32600 // it is JSON, but no request, or too long
	CodeMethod     = -32601 // there is no such method
	CodeParams     = -32602 // the parameters do not fit the method
	CodeFailed     = -32000 // the request was understood and could not be fulfilled
	CodePermission = -32001 // the peer is another user
	CodeBusy       = -32002 // too many connections
)

// Version is what every message carries in its jsonrpc member.
const Version = "2.0"

// The methods, and the one notification, whose params are an Event.
const (
	MethodSessions = "sessions"
	MethodMigrate  = "migrate"
	MethodWatch    = "watch"
	MethodEvent    = "event"
)

// The further methods of processes and of midstreamd.
const (
	MethodInterfaces = "interfaces" // what is known of the interfaces
	MethodFacts      = "facts"      // what is known of them that the kernel does not tell; also a notification of midstreamd's
	MethodUse        = "use"        // look at the directives and follow them, now
	MethodHold       = "hold"       // keep downloads where they are, and their programs waiting for as long as it takes
	MethodRelease    = "release"    // tell programs that are held how their connections ended
	MethodAggregate  = "aggregate"  // let several networks feed downloads together, or one again
	MethodVersion    = "version"    // which version of Midstream runs there
)

// What a process and midstreamd say to each other, on a connection that the process makes.
const (
	MethodAttach  = "attach"  // the first call: from now on midstreamd decides
	MethodReport  = "report"  // a notification of the process's: its streams
	MethodOutcome = "outcome" // likewise: what came of a migration
	MethodTrigger = "trigger" // a notification of midstreamd's: move a stream
	MethodAsk     = "ask"     // likewise: what do these streams need now?
	MethodNeeds   = "needs"   // a notification of the process's: the answer
)

// Request is a call, or where ID is nil a notification.
type Request struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// Response answers the call with the same ID by either a result or an error. What has Method set
// instead is a notification.
type Response struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *Error          `json:"error,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// Error is the error member of a response. A Handler may return one to choose its code; any other
// error becomes CodeFailed.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

var null = json.RawMessage("null")

// ParseRequest reads one line. With an error it still gives what it could find of the request, so
// that the answer can carry its id.
func ParseRequest(line []byte) (Request, *Error) {
	var r Request
	if !json.Valid(line) {
		return r, errorf(CodeParse, "this is not JSON: send one JSON object a line")
	}
	if first := bytes.TrimLeft(line, " \t\r"); first[0] != '{' {
		return r, errorf(CodeRequest, "this is not a request: send one JSON object a line, no batches")
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return Request{}, errorf(CodeRequest, "this is not a JSON-RPC 2.0 request: %s", describe(err))
	}
	if len(r.ID) > 0 && r.ID[0] != '"' && r.ID[0] != '-' && (r.ID[0] < '0' || r.ID[0] > '9') && !bytes.Equal(r.ID, null) {
		r.ID = nil
		return r, errorf(CodeRequest, "the id is neither a string nor a number nor null")
	}
	switch {
	case r.JSONRPC != Version:
		return r, errorf(CodeRequest, `the member "jsonrpc" is not "2.0"`)
	case r.Method == "":
		return r, errorf(CodeRequest, `the member "method" is missing`)
	}
	return r, nil
}

// describe says what a JSON error is about in the words of JSON, not of Go.
func describe(err error) string {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) && mistyped.Field != "" {
		return fmt.Sprintf("%q cannot be a JSON %s", mistyped.Field, mistyped.Value)
	}
	return err.Error()
}
