// One HTTP request and its response: what is cached of them, and whether they can be moved.
package controller

import (
	"sync/atomic"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/http1"
)

// exchange is guarded by its stream's mutex until its response's head is complete, and constant afterwards.
type exchange struct {
	number   uint64
	secure   bool           // over TLS
	octets   []byte         // of the request's head, overwritten when they are not needed any more
	request  *http1.Request // without what authenticates the program: see Stream.complete
	interims int            // 1xx heads that the program has read before it
	answer   []byte         // of the response's head, or of an interim one that has not ended
	trailer  []byte         // of the trailer section, if the program has read a part of it
	response *http1.Response
	framing  http1.Framing
	begun    time.Time // when the program had read the response's head
	done     bool
	mirrors  []mirror           // servers that have other validators for it
	refused  map[string]refused // by interface: where it could not be continued
	received atomic.Int64       // the most that is known to have been received: all of it, once it is done
	budget   budget.Budget      // of the requests made for it
	gone     bool               // its path was found dead before an answer had come
	skipping atomic.Bool        // a connection skips what the program has had of it,
	skipEnds atomic.Int64       // until then, by its pace: in ns since 1970

	// The response's content is octets first to last of a representation of total octets.
	first, last, total int64 // last and total are -1 where unknown
	validators         http1.Validators
	proof              config.Proof
	why                string // why it cannot be moved, "" if it can
	awaitsUpgrade      bool   // it cannot before the answer has come, and is not 101
}

// answering reports whether an octet of its answer has come. With the stream's mu.
func (e *exchange) answering() bool {
	return e.response != nil || e.done || len(e.answer) > 0 || e.interims > 0
}

// length returns how many octets of content the response has, -1 where unknown.
func (e *exchange) length() int64 {
	if e.last < 0 {
		return -1
	}
	return e.last - e.first + 1
}

func (e *exchange) url(peer string) string {
	if e.request == nil {
		return ""
	}
	if e.secure {
		return e.request.URL("https", peer)
	}
	return e.request.URL("http", peer)
}

// requested takes the complete head of the request.
func (e *exchange) requested() {
	request, err := http1.ParseRequest(http1.Conceal(e.octets))
	if err != nil {
		e.why = "the request is malformed: " + err.Error()
		return
	}
	e.request = request
	if ok, why := request.Movable(); !ok {
		e.why = why
	}
	e.awaitsUpgrade = request.AwaitsUpgrade()
}

// immovable says why the exchange cannot be moved now, "" if it can.
func (e *exchange) immovable() string {
	if e.why == "" && e.awaitsUpgrade && e.response == nil {
		return "the server may still answer in the other protocol that the request asks for (Upgrade)"
	}
	return e.why
}

// responded takes the complete head of the response, and what the shim made of its framing.
func (e *exchange) responded(phase channel.Phase, length int64) {
	response, err := http1.ParseResponse(e.answer)
	if err != nil {
		e.refuse("the response is malformed: " + err.Error())
		return
	}
	e.response, e.begun = response, time.Now()
	if e.request == nil {
		e.refuse("the server answered before the request's end")
	}
	e.first, e.last, e.total = 0, -1, -1
	method := "GET"
	if e.request != nil {
		method = e.request.Method
	}
	e.framing, err = response.Framing(method)
	if err != nil {
		e.refuse(err.Error())
		return
	}
	if !e.agrees(phase, length) {
		e.refuse("its framing is ambiguous")
		return
	}
	e.validators = response.Validators()
	e.locate()
}

// agrees reports whether the shim, which counts, has understood the framing as the parser here has.
func (e *exchange) agrees(phase channel.Phase, length int64) bool {
	switch e.framing.Kind {
	case http1.None:
		return phase == channel.PhaseLength && length == 0
	case http1.Length:
		return phase == channel.PhaseLength && length == e.framing.Length
	case http1.Chunked:
		return phase == channel.PhaseChunkSize
	case http1.Close:
		return phase == channel.PhaseClose
	}
	return false
}

// locate finds out which octets of which representation the response carries.
func (e *exchange) locate() {
	switch e.response.Status {
	case 200:
		if e.framing.Kind == http1.Length {
			e.total = e.framing.Length
			e.last = e.total - 1
		}
	case 206:
		r, present, err := e.response.ContentRange()
		if err != nil || !present || r.Unsatisfied() {
			e.refuse("a 206 without a valid Content-Range")
			return
		}
		if e.framing.Kind == http1.Length && e.framing.Length != r.Length() {
			e.refuse("Content-Length and Content-Range disagree")
			return
		}
		e.first, e.last, e.total = r.First, r.Last, r.Total
	default:
		e.refuse("the status is not 200 or 206")
		return
	}
	if e.framing.Coded {
		e.refuse("a transfer coding lies over the content")
		return
	}
	if why := provable(e.validators, e.total, e.proof); why != "" {
		e.refuse(why)
	}
}

// persistent reports whether the program may send another request on the connection after this response.
func (e *exchange) persistent() bool {
	return e.request != nil && e.response != nil && e.framing.Kind != http1.Close && e.response.Persistent() &&
		!e.request.HasToken("Connection", "close") && (e.request.Minor > 0 || e.request.HasToken("Connection", "keep-alive"))
}

func (e *exchange) refuse(why string) {
	if e.why == "" {
		e.why = why
	}
}
