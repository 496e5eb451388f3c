// Why a server cannot continue an exchange, and what that says about trying another one.
package controller

import (
	"fmt"
	"strings"

	"midstream/core/http1"
)

// refusal says that one server does not continue an exchange. Another server, or another interface, may.
type refusal struct {
	why    string
	server bool // it speaks of this server: another one of the same name is worth trying
	more   bool // more octets of overlap might prove what these did not
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
	return refuse(fmt.Sprintf("the new server answered %d to a request for the rest", answer.Status))
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
