// Why a server cannot continue an exchange, and what that says about trying another one.
package resume

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"midstream/core/elsewhere"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// Redirect says that the content is elsewhere (RFC 9110 §15.4).
type Redirect struct {
	Status   int
	Location string
}

func (e *Redirect) Error() string { return "the new server sent a redirect" }

// Refuse says why the redirect leads nowhere.
func (e *Redirect) Refuse(why string) error {
	return refusal.New(reason.AnsweredAnd.With(e.Status, why))
}

// Status says why an answer with this status, from there, does not continue an exchange.
func (h *HTTP) Status(answer *http1.Response, from Destination) error {
	if answer.Status == 511 && from.Elsewhere.URL == "" { // Network Authentication Required (RFC 6585 §6)
		return h.captive(from.Interface)
	}
	if answer.Status == 407 {
		return &refusal.Refusal{Why: reason.ProxyAuth.With(from.Interface)}
	}
	if s := answer.Status; elsewhere.IsRedirect(s) {
		return &Redirect{Status: s, Location: answer.Get("Location")}
	}
	no := &refusal.Refusal{Why: reason.Answered.With(answer.Status), Server: true}
	switch s := answer.Status; {
	case s == 408, s == 425, s == 429, s >= 500: // Request Timeout, Too Early, Too Many Requests
		no.Passing, no.After = true, answer.RetryAfter(time.Now())
	}
	return no
}

// Transient reports whether the same server may answer otherwise in a while.
func Transient(err error) bool {
	var errno syscall.Errno
	var r *refusal.Refusal
	return errors.As(err, &errno) || errors.Is(err, ErrAgain) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &r) && r.Passing
}

// loginPage tells a captive portal's page from an ordinary difference: a page of HTML where the content is
// something else. What has been said to have the content as well may have gone, and have a page that says so.
func (h *HTTP) loginPage(r *Rest, why reason.Reason) error {
	kind := func(a *http1.Response) string {
		t, _, _ := strings.Cut(strings.ToLower(a.Get("Content-Type")), ";")
		return strings.TrimSpace(t)
	}
	if r.To.Elsewhere.URL == "" && h.Response != nil && kind(r.Answer) == "text/html" && kind(h.Response) != "text/html" {
		return h.captive(r.To.Interface)
	}
	return refusal.New(why)
}

// captive notes that the interface leads to a login page. The interface manager looks whether it still does.
func (h *HTTP) captive(iface string) error {
	h.Captive(iface)
	return &refusal.Refusal{Why: reason.LoginPage.With(iface)}
}
