// Why a server cannot continue an exchange, and what that says about trying another one.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"midstream/core/http1"
)

// refusal says that one server does not continue an exchange. Another server, or another interface, may.
type refusal struct {
	why    string
	server bool // it speaks of this server: another one of the same name is worth trying
	more   bool // more octets of overlap might prove what these did not

	passing bool          // the same server may answer otherwise in a while
	after   time.Duration // how long it wants not to be asked again, 0 if it has not said
	ours    bool          // it was not waited for any longer, or asked beyond an end that nobody knew: that says nothing of the server

	// No request was made: the place may be asked again at that time, or the budget is spent.
	until time.Time
	spent bool
}

func (e *refusal) Error() string { return e.why }

// redirect says that the content is elsewhere (RFC 9110 §15.4).
type redirect struct {
	status   int
	location string
}

func (e *redirect) Error() string { return "the new server sent a redirect" }

// refuse says why the redirect leads nowhere.
func (e *redirect) refuse(why string) error {
	return refuse(fmt.Sprintf("the new server answered %d to a request for the rest: %s", e.status, why))
}

func refuse(why string) error { return &refusal{why: why, server: true} }

// status says why an answer with this status does not continue an exchange.
func (c *Controller) status(answer *http1.Response, r route) error {
	if answer.Status == 511 { // Network Authentication Required (RFC 6585 §6)
		return c.captive(r.iface)
	}
	if answer.Status == 407 {
		return &refusal{why: fmt.Sprintf("the proxy of %s demands authentication", r.iface)}
	}
	if s := answer.Status; s == 301 || s == 302 || s == 307 || s == 308 {
		return &redirect{status: s, location: answer.Get("Location")}
	}
	no := &refusal{why: fmt.Sprintf("the new server answered %d to a request for the rest", answer.Status), server: true}
	switch s := answer.Status; {
	case s == 408, s == 425, s == 429, s >= 500: // Request Timeout, Too Early, Too Many Requests
		no.passing, no.after = true, answer.RetryAfter(time.Now())
	}
	return no
}

// broken says why there is no answer, or not all of it.
func broken(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &refusal{why: "the new server's answer was not waited for", server: true, passing: true, ours: true}
	case ctx.Err() != nil:
		return &refusal{why: "the new server did not answer in time", server: true, passing: true}
	case errors.Is(err, io.EOF):
		return refuse("the new server closed the connection without an answer")
	}
	return refuse("the new server's answer broke off: " + err.Error())
}

// transient reports whether the same server may answer otherwise in a while.
func transient(err error) bool {
	var errno syscall.Errno
	var r *refusal
	return errors.As(err, &errno) || errors.Is(err, errAgain) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &r) && r.passing
}

// loginPage tells a captive portal's page from an ordinary difference: a page of HTML where the content is
// something else.
func (c *Controller) loginPage(e *exchange, r *rest, why string) error {
	kind := func(a *http1.Response) string {
		t, _, _ := strings.Cut(strings.ToLower(a.Get("Content-Type")), ";")
		return strings.TrimSpace(t)
	}
	if e.response != nil && kind(r.answer) == "text/html" && kind(e.response) != "text/html" {
		return c.captive(r.route.iface)
	}
	return refuse(why)
}

// captive notes that the interface leads to a login page. The interface manager looks whether it still does.
func (c *Controller) captive(iface string) error {
	c.manager.Captive(iface, true)
	return &refusal{why: "the network of " + iface + " answers with a login page"}
}
