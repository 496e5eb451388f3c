// Where the requests of a relayed stream go.
package delivery

import (
	"fmt"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/twin"
)

// Requester is a stream whose requests are made by its relay. Safe for concurrent use.
type Requester interface {
	// OpenInTime connects to the destination, within the time that a migration may take.
	OpenInTime(to resume.Destination) (*dial.Conn, error)
	// Destination is how a request's server is reached over the interface.
	Destination(iface string, request *http1.Request) (resume.Destination, error)
	// Repeats takes the repetition of the request that the stream waits with out of its budget.
	Repeats(to budget.Place) bool
}

type upstream struct {
	s  Requester
	to resume.Destination
}

// UpstreamOf returns the destination as the stream's relay sees it.
func UpstreamOf(s Requester, to resume.Destination) relay.Upstream { return upstream{s, to} }

// Untouched implements relay.Upstream.
func (u upstream) Untouched() bool { return u.to.Untouched() }

// Open implements relay.Upstream.
func (u upstream) Open() (*dial.Conn, error) { return twin.Flow(u.s.OpenInTime(u.to)) }

// MayRepeat implements relay.Upstream.
func (u upstream) MayRepeat(conn *dial.Conn) bool {
	return u.s.Repeats(budget.PlaceOf(u.to.Interface, conn))
}

// For implements relay.Upstream.
func (u upstream) For(request *http1.Request) (relay.Upstream, bool, error) {
	to, err := u.s.Destination(u.to.Interface, request)
	if err != nil {
		return nil, false, err
	}
	return upstream{u.s, to}, to.Same(u.to), nil
}

// Rewrite implements relay.Upstream.
func (u upstream) Rewrite(request *http1.Request) ([]byte, error) {
	form := u.to.Form
	form.First = true
	rewritten := http1.ResumeRequest(request, -1, -1, "", form)
	if rewritten == nil {
		return nil, fmt.Errorf("the request cannot be written for %s", u.to.Host)
	}
	return rewritten, nil
}
