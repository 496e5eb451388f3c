// The ways of the paths: to the exchange's servers, or where the same content is elsewhere.
package together

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/resume"
	"midstream/core/twin"
)

// wayTo is a path's way to a server. It implements aggregate.Way.
type wayTo struct {
	s     Stream
	e     *exchange.Exchange
	iface string
	to    resume.Destination
	early *early // the first connection, which has been made already, or is being made
	own   bool   // it is over the stream's own interface
	all   *together

	request *http1.Request
	foreign atomic.Bool // that is for another URL
}

func (w *wayTo) Interface() string { return w.iface }

func (w *wayTo) Dial(ctx context.Context) (net.Conn, error) {
	connect := w.connect
	if c := w.early; c != nil {
		w.early = nil
		connect = c.await
	}
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// connect makes a connection to a server that may be asked now: of the exchange's own or, where none of these can be connected to over another
// interface than the stream's own, of another URL that the user has named.
func (w *wayTo) connect(ctx context.Context) (*dial.Conn, error) {
	conn, err := w.connectTo(ctx)
	if err == nil || w.own || w.foreign.Load() {
		return w.noted(conn), err
	}
	for _, place := range w.s.Elsewhere(w.e) {
		if place.ByServer || place.Redirects || ctx.Err() != nil {
			continue
		}
		request, to, failed := w.s.Foreign(w.to.Interface, place, w.e)
		if failed != nil {
			continue
		}
		to.Fresh = true
		other := &wayTo{s: w.s, e: w.e, to: to}
		if conn, failed := other.connectTo(ctx); failed == nil {
			w.to, w.request = to, request
			w.foreign.Store(true)
			return w.noted(conn), nil
		}
	}
	return nil, err
}

// noted takes note of a connection that leads to another name.
func (w *wayTo) noted(conn *dial.Conn) *dial.Conn {
	if conn != nil && w.foreign.Load() && w.all != nil {
		w.all.foreign.Store(conn, true)
	}
	return conn
}

// Foreign implements aggregate.Way.
func (w *wayTo) Foreign() bool { return w.foreign.Load() }

func (w *wayTo) connectTo(ctx context.Context) (*dial.Conn, error) {
	conn, err := twin.Flow(connect(ctx, func(ctx context.Context) (*dial.Conn, error) { return w.s.Open(ctx, w.to) }))
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	if until := w.e.Budget.Until(budget.PlaceOf(w.to.Interface, conn)); time.Now().Before(until) {
		conn.Reset()
		return nil, errors.New("the server wants not to be asked for now")
	}
	return conn, nil
}

// Refused has whoever else asks for the exchange wait as well.
func (w *wayTo) Refused(conn net.Conn, status int, after time.Duration) {
	if c, ok := conn.(*dial.Conn); ok {
		w.e.Budget.Refuse(budget.PlaceOf(w.to.Interface, c), reason.Answered.With(status), after)
	}
}

func (w *wayTo) Request(first, last int64) []byte {
	form := w.to.Form
	form.Lasting = last < w.e.Last // the connection that brings the end may become the program's, which knows what it has asked for
	octets := http1.ResumeRequest(w.request, first, last, "", form)
	if octets == nil || w.e.Complete(octets) != nil {
		return nil
	}
	return octets
}
