// One HTTP request and its response: what is cached of them, and whether they can be moved.
package controller

import (
	"sync/atomic"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/http1"
	"midstream/core/resume"
)

// exchange is guarded by its stream's mutex until its response's head is complete, and constant afterwards.
type exchange struct {
	resume.Exchange
	number   uint64
	secure   bool   // over TLS
	octets   []byte // of the request's head, overwritten when they are not needed any more
	interims int    // 1xx heads that the program has read before it
	answer   []byte // of the response's head, or of an interim one that has not ended
	trailer  []byte // of the trailer section, if the program has read a part of it
	done     bool
	refused  map[string]refused // by interface: where it could not be continued
	received atomic.Int64       // the most that is known to have been received: all of it, once it is done
	budget   budget.Budget      // of the requests made for it
	gone     bool               // its path was found dead before an answer had come
	fed      atomic.Bool        // somebody looks whether several networks are to feed it together

	why           string // why it cannot be moved, "" if it can
	awaitsUpgrade bool   // it cannot before the answer has come, and is not 101
}

// answering reports whether an octet of its answer has come. With the stream's mu.
func (e *exchange) answering() bool {
	return e.Response != nil || e.done || len(e.answer) > 0 || e.interims > 0
}

func (e *exchange) url(peer string) string {
	if e.Request == nil {
		return ""
	}
	if e.secure {
		return e.Request.URL("https", peer)
	}
	return e.Request.URL("http", peer)
}

// requested takes the complete head of the request.
func (e *exchange) requested() {
	request, err := http1.ParseRequest(http1.Conceal(e.octets))
	if err != nil {
		e.why = "the request is malformed: " + err.Error()
		return
	}
	e.Request = request
	if ok, why := request.Movable(); !ok {
		e.why = why
	}
	e.awaitsUpgrade = request.AwaitsUpgrade()
}

// immovable says why the exchange cannot be moved now, "" if it can.
func (e *exchange) immovable() string {
	if e.why == "" && e.awaitsUpgrade && e.Response == nil {
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
	e.Response, e.Begun = response, time.Now()
	if e.Request == nil {
		e.refuse("the server answered before the request's end")
	}
	e.First, e.Last, e.Total = 0, -1, -1
	method := "GET"
	if e.Request != nil {
		method = e.Request.Method
	}
	e.Framing, err = response.Framing(method)
	if err != nil {
		e.refuse(err.Error())
		return
	}
	if !e.agrees(phase, length) {
		e.refuse("its framing is ambiguous")
		return
	}
	e.Validators = response.Validators()
	if why := e.Locate(); why != "" {
		e.refuse(why)
	}
}

// agrees reports whether the shim, which counts, has understood the framing as the parser here has.
func (e *exchange) agrees(phase channel.Phase, length int64) bool {
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

// persistent reports whether the program may send another request on the connection after this response.
func (e *exchange) persistent() bool {
	return e.Request != nil && e.Response != nil && e.Framing.Kind != http1.Close && e.Response.Persistent() &&
		!e.Request.HasToken("Connection", "close") && (e.Request.Minor > 0 || e.Request.HasToken("Connection", "keep-alive"))
}

func (e *exchange) refuse(why string) {
	if e.why == "" {
		e.why = why
	}
}
