// A request for the same content at another URL, which nobody has sent the program to.

package http1

import "strings"

// anybodys are the fields that say nothing of who asks, nor of what only its own server knows.
var anybodys = []string{"User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection"}

// Elsewhere returns the request for another http or https URL, in absolute-form. Only fields go there that are for anybody. It returns
// ErrRedirect where the URL is none.
func (r *Request) Elsewhere(url string) (*Request, error) {
	if !isTarget(url) {
		return nil, ErrRedirect
	}
	t := splitTarget(url)
	scheme := strings.ToLower(t.scheme)
	if t.form != absoluteForm || scheme != "http" && scheme != "https" {
		return nil, ErrRedirect
	}
	if _, _, ok := splitHostPort(t.authority); !ok {
		return nil, ErrRedirect
	}
	path := t.path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var b strings.Builder
	b.WriteString("GET " + scheme + "://" + t.authority + path + " HTTP/1.1\r\nHost: " + t.authority + "\r\n")
	for _, f := range r.Fields {
		for _, name := range anybodys {
			if f.Is(name) {
				b.WriteString(f.Raw)
			}
		}
	}
	b.WriteString("\r\n")
	request, err := ParseRequest([]byte(b.String()))
	if err != nil {
		return nil, ErrRedirect
	}
	return request, nil
}
