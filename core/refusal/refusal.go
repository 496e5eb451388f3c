// Package refusal says why a server does not continue an exchange, and what that says about asking it again, or another one.
package refusal

import (
	"context"
	"errors"
	"io"
	"time"

	"midstream/core/reason"
)

// Refusal says that one server does not continue an exchange. Another server, or another interface, may.
type Refusal struct {
	Why    reason.Reason
	Server bool // it speaks of this server: another one of the same name is worth trying
	More   bool // more octets of overlap might prove what these did not

	Passing bool          // the same server may answer otherwise in a while
	After   time.Duration // how long it wants not to be asked again, 0 if it has not said
	Ours    bool          // it was not waited for any longer, or asked beyond an end that nobody knew: that says nothing of the server

	Gone bool // what is missing is nowhere any more: nobody else is to be asked later

	// No request was made: the place may be asked again at that time, or the budget is spent.
	Until time.Time
	Spent bool
}

func (r *Refusal) Error() string { return r.Why.Error() }

// Unwrap is the reason, for errors.Is with its code.
func (r *Refusal) Unwrap() error { return r.Why.Err() }

// New is the refusal of a server whose others are worth trying.
func New(why reason.Reason) error { return &Refusal{Why: why, Server: true} }

// Broken says why there is no answer, or not all of it: err is what came of reading it, ctx that of who waited.
func Broken(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Refusal{Why: reason.NotWaited.Alone(), Server: true, Passing: true, Ours: true}
	case ctx.Err() != nil:
		return &Refusal{Why: reason.NotInTime.Alone(), Server: true, Passing: true}
	case errors.Is(err, io.EOF):
		return New(reason.ClosedSilently.Alone())
	}
	return New(reason.BrokeOff.With(err))
}
