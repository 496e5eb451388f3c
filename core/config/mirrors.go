// The tables [[mirrors]]: where else the content of URLs can be had.
package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"midstream/core/elsewhere"
)

// maxMirrors bounds how many places one folder may have.
const maxMirrors = 8

func (d *decoder) mirrors(p path, value any) elsewhere.Map {
	all := elsewhere.Map{}
	for i, value := range d.array(p, value, "a table for each: [[mirrors]]") {
		at := p.with(index(i))
		r := elsewhere.Rule{To: []string{}}
		from, to := false, false
		d.table(at, value, keys{
			"from": func(p path, v any) {
				from = true
				text, ok := d.text(p, v, `a folder: "http://deb.debian.org/debian/"`)
				if r.From = text; ok {
					d.folder(p, text)
				}
			},
			"to": func(p path, v any) {
				to = true
				r.To = d.texts(p, v, `folders, the best first: ["http://ftp.de.debian.org/debian/"]`)
				for i, text := range r.To {
					d.folder(p.with(index(i)), text)
				}
				if len(r.To) > maxMirrors {
					d.fail(p, fmt.Sprintf("%d places are too many", len(r.To)), fmt.Sprintf("write %d at most", maxMirrors))
				}
			},
		})
		if !from || !to {
			d.fail(at, "this mirrors nothing", "set both from and to")
		}
		for _, text := range r.To {
			if from && to && strings.HasPrefix(text, "https:") != strings.HasPrefix(r.From, "https:") {
				d.fail(at, "what is had by http is mirrored by http, and by https what is had by https", "use the same for both")
			}
		}
		all = append(all, r)
	}
	return all
}

// folder looks whether the text is an http URL that others can begin with.
func (d *decoder) folder(p path, text string) {
	const wanted = `write a folder with its slash: "http://deb.debian.org/debian/"`
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsAny(text, "?# \t\r\n\"<>\\"):
		d.fail(p, strconv.Quote(text)+" is no folder of a server", wanted)
	case u.Scheme != "http" && u.Scheme != "https":
		d.fail(p, strconv.Quote(text)+" is no http URL", wanted)
	case u.Scheme == "https" && net.ParseIP(u.Hostname()) != nil:
		d.fail(p, "over TLS, a server is known by its name", "write that")
	case u.User != nil:
		d.fail(p, "a user and a password are sent to no mirror", "leave them out")
	case !strings.HasSuffix(text, "/"):
		d.fail(p, strconv.Quote(text)+" does not end in a slash, and URLs of other folders begin with it, too", wanted)
	}
}

func printMirrors(b *strings.Builder, m elsewhere.Map) {
	for _, r := range m {
		fmt.Fprintf(b, "\n[[mirrors]]\nfrom = %q\nto = [%s]\n", r.From, quoteTexts(r.To))
	}
}
