// Package live continues streams that have no length, no validator and no offset that a server could be asked for: radio stations and
// television. What takes the place of the offset is the content itself. A server of such streams sends a new listener what it has sent
// the others last (its burst), so that a new connection begins before the place where the old one has ended: where the last octets that
// the program was handed are found in what comes there, once and no more, it goes on behind them. Where they are not, nothing is known,
// and the stream is not continued.
//
// overlap.go finds the place, meta.go knows the titles that stand between the octets of a station (icy-metaint), splice.go is what the
// program is handed from there on. The package knows no connection and no stream.
package live

import (
	"strconv"
	"strings"

	"midstream/core/http1"
)

// Stream is what a response's head says of a stream without a length.
type Stream struct {
	// Type is the media type, without parameters, in lower case.
	Type string
	// Every is after how many octets of sound a title stands (icy-metaint), 0 where none does.
	Every int
	// Station: the response says that it is one of a station's, which has no end: where the connection ends, nothing is complete.
	Station bool
}

// Window is how many octets before the place where the program stands are compared at most.
const Window = 64 << 10

// maxEvery bounds icy-metaint: a phase that is found out about once in so many octets has to be within what is kept.
const maxEvery = Window / 2

// Of reports whether the response to the request is a stream that can be continued by its content, and what it says of it.
func Of(request *http1.Request, r *http1.Response) (Stream, bool) {
	s := Stream{Type: mediaType(r)}
	f, err := r.Framing("GET")
	if err != nil || r.Status != 200 || f.Coded || f.Kind != http1.Close && f.Kind != http1.Chunked {
		return s, false
	}
	for _, name := range []string{"ETag", "Last-Modified", "Content-Range", "Content-Encoding"} {
		if r.Has(name) {
			return s, false // what has a name or a date is not made as it is sent
		}
	}
	for _, field := range r.Fields {
		name := strings.ToLower(field.Name)
		s.Station = s.Station || strings.HasPrefix(name, "icy-") || strings.HasPrefix(name, "ice-")
	}
	if request != nil {
		if asked, present, err := request.Range(); present && (err != nil || asked.IsSuffix() || asked.First != 0 || asked.Last >= 0) {
			return s, false
		}
	}
	if text := r.Get("icy-metaint"); text != "" {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > maxEvery {
			return s, false
		}
		s.Every = n
	}
	return s, s.Station || strings.HasPrefix(s.Type, "audio/") || strings.HasPrefix(s.Type, "video/") || s.Type == "application/ogg"
}

func mediaType(r *http1.Response) string {
	t, _, _ := strings.Cut(strings.ToLower(r.Get("Content-Type")), ";")
	return strings.TrimSpace(t)
}
