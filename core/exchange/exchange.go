// Package exchange has one HTTP request of the program and its response: what is kept of them, whether they can be moved, and how much of
// the content the program has been handed.
package exchange

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/aggregate"
	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/resume"
)

// Exchange changes as the shim's messages tell of it. The fields that it has from package resume are constant once Answered reports true
// (Request, once Asked does). Its lock is taken with the stream's, or without, and nothing is called with it: all methods are safe for
// concurrent use.
type Exchange struct {
	resume.Exchange
	Number uint64           // as the shim counts the stream's
	Secure bool             // over TLS
	Clear  bool             // what a pair on the descriptor brings is taken for what its session does
	Budget budget.Budget    // of the requests made for it
	Places aggregate.Places // what those that feed it together have found out about its servers

	scheme   string // "": HTTP
	counters Counters
	received atomic.Int64 // the most that is known to have been received: all of it, once it is done
	fed      atomic.Bool
	gone     atomic.Bool // its path was found dead before an answer had come

	mu            sync.Mutex
	octets        []byte // of the request's head, overwritten when they are not needed any more
	interims      int    // 1xx heads that the program has read before the response's
	answer        []byte // of the response's head, or of an interim one that has not ended
	answered      bool   // the response's head is complete
	trailer       []byte // of the trailer section, if the program has read a part of it
	done          bool   // the response has been read to its end
	closed        bool   // the program has closed the stream
	refused       map[string]refused
	live          *Live         // where it has no length, and is continued by its content
	why           reason.Reason // why it cannot be moved, if it cannot
	awaitsUpgrade bool          // it cannot before the answer has come, and is not 101
}

// New returns an exchange of whose request nothing has come yet.
func New(number uint64, secure bool, proof config.Proof, counters Counters) *Exchange {
	e := &Exchange{Number: number, Secure: secure, counters: counters}
	e.Last, e.Total, e.Proof = -1, -1, proof
	return e
}

// AddRequest takes octets of the request's head; they are overwritten. last: they are its last.
func (e *Exchange) AddRequest(octets []byte, last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.octets = appendSecret(e.octets, octets)
	clear(octets)
	if !last {
		return
	}
	request, err := http1.ParseRequest(http1.Conceal(e.octets))
	if err != nil {
		e.why = reason.RequestMalformed.With(err)
		return
	}
	e.Request = request
	if ok, why := request.Movable(); !ok {
		e.why = why
	}
	e.awaitsUpgrade = request.AwaitsUpgrade()
}

// AddAnswer takes octets of the response's head, or of an interim one's.
func (e *Exchange) AddAnswer(octets []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = append(e.answer, octets...)
}

// EndInterim takes that the head has ended, and is an interim response's.
func (e *Exchange) EndInterim() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = nil
	e.interims++
}

// EndHead takes that the response's head has ended, and what the shim has made of its framing.
func (e *Exchange) EndHead(phase channel.Phase, length int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	response, err := http1.ParseResponse(e.answer)
	if err != nil {
		e.refuse(reason.ResponseMalformed.With(err))
		return
	}
	e.Response, e.Begun, e.answered = response, time.Now(), true
	if e.Request == nil {
		e.refuse(reason.ResponseEarly.Alone())
	}
	e.First, e.Last, e.Total = 0, -1, -1
	method := "GET"
	if e.Request != nil {
		method = e.Request.Method
	}
	e.Framing, err = response.Framing(method)
	if err != nil {
		e.refuse(reason.Framing.With(err))
		return
	}
	if !e.agrees(phase, length) {
		e.refuse(reason.FramingAmbiguous.Alone())
		return
	}
	e.Validators = response.Validators()
	why := e.Locate()
	if e.live = e.liveStream(); e.live == nil && !why.None() {
		e.refuse(why)
	}
}

// agrees reports whether the shim, which counts, has understood the framing as the parser here has. With mu.
func (e *Exchange) agrees(phase channel.Phase, length int64) bool {
	switch e.Framing.Kind {
	case http1.None:
		return phase == channel.PhaseLength && length == 0
	case http1.Length:
		return phase == channel.PhaseLength && length == e.Framing.Length
	case http1.Chunked:
		return phase == channel.PhaseChunkSize
	case http1.Close:
		return phase == channel.PhaseClose
	}
	return false
}

// AddTrailer takes octets of the trailer section that the program has read.
func (e *Exchange) AddTrailer(octets []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trailer = append(e.trailer, octets...)
}

// End takes that the response has been read to its end, with so many octets of content.
func (e *Exchange) End(received int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = true
	e.received.Store(received)
	e.forget()
	e.answer, e.trailer = nil, nil
}

// Close takes that the program has closed the stream.
func (e *Exchange) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.forget()
}

// Over implements resume.Receiver: the response has been read to its end, or the program has closed the stream.
func (e *Exchange) Over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.done || e.closed
}

// Done reports whether the response has been read to its end.
func (e *Exchange) Done() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.done
}

// Asks returns the request, nil as long as the program has not written all of its head, or if it is none. The receiver may be nil.
func (e *Exchange) Asks() *http1.Request {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Request
}

// Asked reports whether there is one.
func (e *Exchange) Asked() bool { return e.Asks() != nil }

// Answering reports whether an octet of its answer has come.
func (e *Exchange) Answering() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answered || e.done || len(e.answer) > 0 || e.interims > 0
}

// Answered reports whether the program has read the response's head.
func (e *Exchange) Answered() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answered
}

// InHead reports whether the program has not read all of the response's head.
func (e *Exchange) InHead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.answered && !e.done
}

// Head returns what the program has read of the head that it is reading, or has read last, and how many interim ones before.
func (e *Exchange) Head() (octets []byte, interims int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.answer), e.interims
}

// HeadLength is how long that is.
func (e *Exchange) HeadLength() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.answer)
}

// Why says why it cannot be moved whatever comes, if that is known.
func (e *Exchange) Why() reason.Reason {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// Immovable says why it cannot be moved now, if it cannot.
func (e *Exchange) Immovable() reason.Reason {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why.None() && e.awaitsUpgrade && !e.answered {
		return reason.AwaitsUpgrade.Alone()
	}
	return e.why
}

// Refuse says why it cannot be moved, unless something else has been said.
func (e *Exchange) Refuse(why reason.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse(why)
}

// refuse is Refuse. With mu.
func (e *Exchange) refuse(why reason.Reason) {
	if e.why.None() {
		e.why = why
	}
}

// URL is what is asked for, "" while that is not known; peer is the server where the request names none.
func (e *Exchange) URL(peer string) string {
	request := e.Asks()
	switch {
	case request == nil:
		return ""
	case e.scheme != "":
		return request.URL(e.scheme, peer)
	case e.Secure:
		return request.URL("https", peer)
	}
	return request.URL("http", peer)
}

// Persistent reports whether the program may send another request on the connection after this response.
func (e *Exchange) Persistent() bool {
	return e.Asked() && e.Answered() && e.Framing.Kind != http1.Close && e.Response.Persistent() &&
		!e.Request.HasToken("Connection", "close") && (e.Request.Minor > 0 || e.Request.HasToken("Connection", "keep-alive"))
}

// ClaimFeeding reports whether nobody looks yet whether several networks are to feed it together: whoever has claimed that does.
func (e *Exchange) ClaimFeeding() bool { return e.fed.CompareAndSwap(false, true) }

// LosePath takes that its path was found dead before an answer had come.
func (e *Exchange) LosePath() { e.gone.Store(true) }

// PathLost reports whether LosePath has been called.
func (e *Exchange) PathLost() bool { return e.gone.Load() }
