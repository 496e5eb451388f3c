// Why a server cannot continue an exchange, and what that says about trying another one.
package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"midstream/core/http1"
	"midstream/core/refusal"
)

// redirect says that the content is elsewhere (RFC 9110 §15.4).
type redirect struct {
	status   int
	location string
}

func (e *redirect) Error() string { return "the new server sent a redirect" }

// refuse says why the redirect leads nowhere.
func (e *redirect) refuse(why string) error {
	return refusal.New(fmt.Sprintf("the new server answered %d to a request for the rest: %s", e.status, why))
}

// status says why an answer with this status does not continue an exchange.
func (c *Controller) status(answer *http1.Response, r route) error {
	if answer.Status == 511 { // Network Authentication Required (RFC 6585 §6)
		return c.captive(r.iface)
	}
	if answer.Status == 407 {
		return &refusal.Refusal{Why: fmt.Sprintf("the proxy of %s demands authentication", r.iface)}
	}
	if s := answer.Status; s == 301 || s == 302 || s == 307 || s == 308 {
		return &redirect{status: s, location: answer.Get("Location")}
	}
	no := &refusal.Refusal{Why: fmt.Sprintf("the new server answered %d to a request for the rest", answer.Status), Server: true}
	switch s := answer.Status; {
	case s == 408, s == 425, s == 429, s >= 500: // Request Timeout, Too Early, Too Many Requests
		no.Passing, no.After = true, answer.RetryAfter(time.Now())
	}
	return no
}

// transient reports whether the same server may answer otherwise in a while.
func transient(err error) bool {
	var errno syscall.Errno
	var r *refusal.Refusal
	return errors.As(err, &errno) || errors.Is(err, errAgain) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &r) && r.Passing
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
	return refusal.New(why)
}

// captive notes that the interface leads to a login page. The interface manager looks whether it still does.
func (c *Controller) captive(iface string) error {
	c.manager.Captive(iface, true)
	return &refusal.Refusal{Why: "the network of " + iface + " answers with a login page"}
}
