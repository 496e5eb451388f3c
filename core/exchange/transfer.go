// Exchanges of another protocol than HTTP (package ftp): a file that is asked for, and ends with its connection.
package exchange

import (
	"time"

	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
)

// File is one that is transferred.
type File struct {
	Scheme, Path string        // of its URL
	First, Total int64         // the octet that the transfer begins with, and how many there are, -1 unknown
	Why          reason.Reason // why the transfer cannot be continued, if it cannot
}

// NewTransfer returns the exchange of a transfer that has begun. What others have of an HTTP exchange, it has of a request for that URL.
func NewTransfer(number uint64, f File, proof config.Proof, counters Counters) *Exchange {
	e := New(number, false, proof, counters)
	e.scheme, e.why = f.Scheme, f.Why
	var err, failed error
	e.Request, err = http1.ParseRequest([]byte("GET /" + f.Path + " HTTP/1.0\r\n\r\n"))
	e.Response, failed = http1.ParseResponse([]byte("HTTP/1.0 200 OK\r\n\r\n"))
	if err != nil || failed != nil {
		e.why = reason.FTPDialogue.Alone()
	}
	e.Framing, e.Validators.Length = http1.Framing{Kind: http1.Close}, -1
	e.First, e.Total, e.Last = f.First, f.Total, f.Total-1
	if f.Total < 0 {
		e.Last = -1
	}
	e.Begun, e.answered = time.Now(), true
	if proof == config.ProofStrict {
		e.refuse(reason.NotStrong.Alone()) // FTP has no validators
	}
	return e
}

// HTTP reports whether it is one of HTTP's.
func (e *Exchange) HTTP() bool { return e.scheme == "" }

// Whole reports whether so many octets are all of the transfer, or more, where its file has grown: its connection has not ended early then.
func (e *Exchange) Whole(received int64) bool {
	n := e.Length()
	return e.scheme != "" && n >= 0 && received >= n
}
