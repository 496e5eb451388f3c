// The access log that all content servers of the laboratory write: one line a request, fields parted by tabs.

package lab

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The same fields in the words of each server, in the order of Request. A missing field is "-".
const (
	nginxFormat    = `$msec\t$server_addr\t$remote_addr\t$remote_port\t$request\t$status\t$http_host\t$http_range\t$http_if_range\t$sent_http_content_range\t$body_bytes_sent\t$http_user_agent`
	apacheFormat   = `%{end:sec}t.%{end:msec_frac}t\t%A\t%a\t%{remote}p\t%r\t%>s\t%{Host}i\t%{Range}i\t%{If-Range}i\t%{Content-Range}o\t%B\t%{User-Agent}i`
	lighttpdFormat = `%{end:sec}t.%{end:msec_frac}t\t%A\t%a\t%{remote}p\t%r\t%s\t%{Host}i\t%{Range}i\t%{If-Range}i\t%{Content-Range}o\t%b\t%{User-Agent}i`
)

const accessFields = 12

// Request is one line of an access log. Servers write it when the response has ended or been cut off.
type Request struct {
	At           time.Time // of the end, to the millisecond
	Server       string    // address
	Client       string    // address
	ClientPort   int
	Method       string
	Target       string
	Status       int
	Host         string
	Range        string
	IfRange      string
	ContentRange string
	Sent         int64 // octets of content handed to the kernel (Apache: meant to be)
	UserAgent    string
}

// FirstOctet is the offset at which the content of the response began: 0 without Content-Range.
func (r Request) FirstOctet() int64 {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.ContentRange, "bytes "), "-")
	offset, _ := strconv.ParseInt(first, 10, 64)
	return offset
}

// ParseRequest reads a line of an access log.
func ParseRequest(line string) (Request, error) {
	f := strings.Split(line, "\t")
	if len(f) != accessFields {
		return Request{}, fmt.Errorf("access log: %d fields where %d are expected: %q", len(f), accessFields, line)
	}
	for i := range f {
		if f[i] == "-" {
			f[i] = ""
		}
	}
	seconds, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return Request{}, fmt.Errorf("access log: time of %q: %w", line, err)
	}
	r := Request{
		At: time.UnixMilli(int64(seconds*1000 + 0.5)), Server: f[1], Client: f[2],
		Host: f[6], Range: f[7], IfRange: f[8], ContentRange: f[9], UserAgent: f[11],
	}
	r.ClientPort, _ = strconv.Atoi(f[3])
	r.Method, r.Target, _ = strings.Cut(f[4], " ")
	r.Target, _, _ = strings.Cut(r.Target, " ")
	if r.Status, err = strconv.Atoi(f[5]); err != nil {
		return Request{}, fmt.Errorf("access log: status of %q: %w", line, err)
	}
	if f[10] != "" {
		if r.Sent, err = strconv.ParseInt(f[10], 10, 64); err != nil {
			return Request{}, fmt.Errorf("access log: octets of %q: %w", line, err)
		}
	}
	return r, nil
}

// Requests are the requests that a content server has logged so far.
func (s *Server) Requests() []Request {
	s.Network.lab.t.Helper()
	var all []Request
	for _, line := range s.lines() {
		r, err := ParseRequest(line)
		s.Network.must(err)
		all = append(all, r)
	}
	return all
}

// WaitRequest returns the first logged request for which match holds, as soon as there is one; the test fails after limit.
func (s *Server) WaitRequest(what string, limit time.Duration, match func(Request) bool) Request {
	s.Network.lab.t.Helper()
	var found Request
	s.WaitLine(what, limit, func(line string) bool {
		r, err := ParseRequest(line)
		found = r
		return err == nil && match(r)
	})
	return found
}
