// Where the program has been redirected.
package elsewhere

import (
	"net/url"
	"strings"
	"sync"

	"midstream/core/http1"
)

// maxRedirects bounds how many are remembered, the last ones.
const maxRedirects = 32

// Hops is how many redirects in a row lead from the URL that is asked again to the content at most: each is a request.
const Hops = 2

// Redirects are those that the servers of one process have sent. The zero value knows none. Safe for concurrent use.
type Redirects struct {
	mu  sync.Mutex
	all []redirect // the latest last
}

type redirect struct {
	from, to  string
	named     []string // where else the content is, by that answer
	described string   // where it is described, likewise
}

// Origin is where a program has been redirected from.
type Origin struct {
	URL       string   // "" if it was not
	Named     []string // where else the content is, by those answers
	Described string   // where it is described by a Metalink, likewise; "" if it is nowhere
}

// IsRedirect reports whether the status sends a program to another URL by the field Location (RFC 9110 §15.4).
func IsRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// Add remembers the answer to a request for the URL, if it is a redirect. From https to http, none is: there would be nothing to ask it again
// by.
func (r *Redirects) Add(from string, answer *http1.Response) {
	if !IsRedirect(answer.Status) {
		return
	}
	base, to := canonical(from), ""
	if u, err := url.Parse(base); err == nil && base != "" {
		if location, err := u.Parse(answer.Get("Location")); err == nil {
			to = canonical(location.String())
		}
	}
	if to == "" || to == base || strings.HasPrefix(base, "https:") && strings.HasPrefix(to, "http:") {
		return
	}
	named := Duplicates(from, answer)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(base)
	if len(r.all) == maxRedirects {
		r.all = append(r.all[:0:0], r.all[1:]...)
	}
	r.all = append(r.all, redirect{base, to, named[:min(len(named), mostByServer)], Description(from, answer)})
}

// forget drops what is known of a URL: it redirects elsewhere now. With mu.
func (r *Redirects) forget(from string) {
	for i := range r.all {
		if r.all[i].from == from {
			r.all = append(r.all[:i:i], r.all[i+1:]...)
			return
		}
	}
}

// Of returns where the program has been redirected to that URL from: for one of TLS, as far as that was done over TLS.
func (r *Redirects) Of(to string) (from Origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return from
	}
	at := canonical(to)
	for range Hops {
		i := len(r.all) - 1
		for i >= 0 && r.all[i].to != at {
			i--
		}
		if i < 0 || at == "" || strings.HasPrefix(at, "https:") && strings.HasPrefix(r.all[i].from, "http:") {
			break // over another network, nobody knows who answers at an http URL: what leads from there to TLS proves no server
		}
		at = r.all[i].from
		from.URL, from.Named = at, append(from.Named, r.all[i].named...)
		if from.Described == "" {
			from.Described = r.all[i].described
		}
	}
	return from
}

// canonical is an http or https URL as it is compared, "" where it is none, or would be asked with more than its words.
func canonical(of string) string {
	u, err := url.Parse(of)
	if err != nil || len(of) > 4096 || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(of, " \t\r\n\"<>\\^`{|}") {
		return ""
	}
	u.Scheme, u.Host, u.Fragment, u.RawFragment = strings.ToLower(u.Scheme), strings.ToLower(u.Host), "", ""
	switch u.Scheme {
	case "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	case "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	default:
		return ""
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}
