// Package elsewhere knows where else the content of a URL can be had: what the user says (Map), which URL has redirected the program to it,
// and may redirect elsewhere on another network (Redirects), and what the servers say that have sent it (Duplicates). That somebody says so proves nothing: what is fetched from there is compared as with any other server, and without what
// names only one URL's content, an entity tag.
package elsewhere

import (
	"net/url"
	"slices"
	"strings"

	"midstream/core/http1"
	"midstream/core/metalink"
)

// Place is one.
type Place struct {
	URL string // http or https, as that of the exchange
	// ByServer: a server has named it, and not the user.
	ByServer bool
	// Redirects: the program has been redirected from there. Where that leads now is what counts.
	Redirects bool
}

// Places returns where else the content can be had that was asked for at the URL, and has been answered so; none where it is not http.
func Places(m Map, redirects *Redirects, from string, r *http1.Response) (all []Place) {
	for _, to := range m.Of(from) {
		all = append(all, Place{URL: to})
	}
	origin := redirects.Of(from)
	if origin.URL != "" {
		all = append(all, Place{URL: origin.URL, Redirects: true})
	}
	return Add(all, from, append(Duplicates(from, r), origin.Named...))
}

// Named reports whether one of them is more than where the program was redirected from.
func Named(all []Place) bool {
	return slices.ContainsFunc(all, func(p Place) bool { return !p.Redirects })
}

// Add adds those of the URLs, named by a server, that may be asked for what was asked for at the URL from.
func Add(all []Place, from string, named []string) []Place {
	var may []string
	for _, to := range named {
		may = add(may, from, to)
	}
	for i, to := range may {
		if i < mostByServer && len(all) < most && !slices.ContainsFunc(all, func(p Place) bool { return p.URL == to }) {
			all = append(all, Place{URL: to, ByServer: true})
		}
	}
	return all
}

// Map is where folders are mirrored: what one URL begins with, and what it begins with elsewhere.
type Map []Rule

// Rule has one. All are http URLs, or all https URLs, and end in a slash.
type Rule struct {
	From string   `json:"from"`
	To   []string `json:"to"`
}

// most bounds how many places are known for a URL.
const most = 8

// mostByServer bounds how many of them a server may name: it has others connected to.
const mostByServer = 3

// Of returns where else the content of a URL can be had, the best first. A URL with a query is not mirrored: it may hold what is
// for its own server only.
func (m Map) Of(from string) (all []string) {
	if strings.ContainsAny(from, "?#") {
		return nil
	}
	for _, r := range m {
		rest, ok := cutFolder(from, r.From)
		if !ok || strings.Contains(rest, "..") {
			continue
		}
		for _, to := range r.To {
			all = add(all, from, to+rest)
		}
	}
	return all
}

// cutFolder is strings.CutPrefix for URLs, of which scheme and host may be written in either case.
func cutFolder(of, folder string) (rest string, ok bool) {
	a, b := splitHost(of), splitHost(folder)
	if a < 0 || b < 0 || !strings.EqualFold(withoutPort(of[:a]), withoutPort(folder[:b])) {
		return "", false
	}
	return strings.CutPrefix(of[a:], folder[b:])
}

// splitHost returns where the path of an http or https URL begins, -1 if it is none.
func splitHost(of string) int {
	scheme, rest, _ := strings.Cut(of, "://")
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return -1
	}
	if i := strings.IndexByte(rest, '/'); i > 0 {
		return len(scheme) + len("://") + i
	}
	return -1
}

// withoutPort returns scheme and host of a URL without the port that the scheme has by default.
func withoutPort(of string) string {
	if len(of) > 6 && strings.EqualFold(of[:6], "https:") {
		return strings.TrimSuffix(of, ":443")
	}
	return strings.TrimSuffix(of, ":80")
}

// Duplicates returns where, by the response's Link fields with rel=duplicate (RFC 6249 §3, RFC 8288), else what was asked for at the
// URL can be had, in the order of their pri parameters as they stand.
func Duplicates(from string, r *http1.Response) (all []string) {
	for _, value := range r.Values("Link") {
		for _, l := range links(value) {
			if l.duplicate {
				all = add(all, from, l.target)
			}
		}
	}
	return all
}

// add adds a URL that may be asked: http or https, as the other one, of another host, without what authenticates.
func add(all []string, from, to string) []string {
	u, err := url.Parse(to)
	if err != nil || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" ||
		len(to) > 4096 || len(all) >= most || strings.ContainsAny(to, " \t\r\n\"<>\\^`{|}") {
		return all
	}
	own, err := url.Parse(from)
	if err != nil || !strings.EqualFold(own.Scheme, u.Scheme) || strings.EqualFold(withoutPort(own.Scheme+"://"+own.Host), withoutPort(u.Scheme+"://"+u.Host)) {
		return all
	}
	for _, known := range all {
		if known == to {
			return all
		}
	}
	return append(all, to)
}

// Description returns, by the response's Link fields with rel=describedby (RFC 6249 §4), where the content that was asked for at the http URL is
// described by a Metalink; "" where none is named that may be asked.
func Description(from string, r *http1.Response) string {
	base, err := url.Parse(from)
	if err != nil {
		return ""
	}
	for _, value := range r.Values("Link") {
		for _, l := range links(value) {
			if !l.described || !strings.EqualFold(l.kind, metalink.Type) || len(l.target) > 4096 {
				continue
			}
			if to, err := base.Parse(l.target); err == nil && canonical(to.String()) != "" && to.Scheme == "http" {
				return canonical(to.String())
			}
		}
	}
	return ""
}

type link struct {
	target               string
	kind                 string // type
	duplicate, described bool
}

// links reads one field value: <URI>; name=value; name="value", …
func links(value string) (all []link) {
	for len(all) < 64 {
		value = strings.TrimLeft(value, " \t,")
		if !strings.HasPrefix(value, "<") {
			return all
		}
		end := strings.IndexByte(value, '>')
		if end < 0 {
			return all
		}
		l := link{target: strings.TrimSpace(value[1:end])}
		value = value[end+1:]
		for seen := false; ; {
			value = strings.TrimLeft(value, " \t")
			if !strings.HasPrefix(value, ";") {
				break
			}
			var name, text string
			name, text, value = parameter(value[1:])
			if strings.EqualFold(name, "type") && l.kind == "" {
				l.kind = text
			}
			if !seen && strings.EqualFold(name, "rel") { // later ones do not count (RFC 8288 §3.3)
				seen = true
				for _, rel := range strings.Fields(text) {
					l.duplicate = l.duplicate || strings.EqualFold(rel, "duplicate")
					l.described = l.described || strings.EqualFold(rel, "describedby")
				}
			}
		}
		all = append(all, l)
	}
	return all
}

// parameter reads one, and returns what follows it.
func parameter(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	name = strings.TrimSpace(s[:end])
	if s[end] != '=' {
		return name, "", s[end:]
	}
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return name, strings.TrimSpace(s[:end]), s[end:]
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return name, text.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		text.WriteByte(s[i])
	}
	return name, text.String(), ""
}
