// Two networks with servers of one name, for tests with a scripted shim.
package controller

import (
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"midstream/core/netif/nettest"
)

const host = "files.example"

// world is this namespace with wlan0 and wwan0, each with a network behind it that has a name server and a file server.
type world struct {
	t        *testing.T
	networks [2]*network
}

// network is what is behind an interface: 10.77.N.80 is everything in it.
type network struct {
	iface string
	near  string // the interface's own address
	addr  netip.AddrPort
	place *nettest.Place

	mu      sync.Mutex
	asked   []*http.Request
	handler http.HandlerFunc
	open    atomic.Int32 // connections
}

// newWorld makes one; the test is inside namespaces of its own.
func newWorld(t *testing.T) *world {
	w := &world{t: t}
	t.Setenv("MIDSTREAM_RUNTIME_DIR", t.TempDir())
	nettest.Sysctl(t, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
	for i, iface := range []string{"wlan0", "wwan0"} {
		n := &network{iface: iface, near: fmt.Sprintf("10.77.%d.2", i+1), place: nettest.NewPlace(t)}
		far := fmt.Sprintf("10.77.%d.80", i+1)
		n.addr = netip.MustParseAddrPort(far + ":80")
		n.place.Link(iface, "far", []string{n.near + "/24"}, []string{far + "/24"})
		nettest.Run(t, fmt.Sprintf("ip route add default via %s dev %s metric %d", far, iface, 100*(i+1)))
		n.place.Run("ip route add default dev far")
		n.serve(t, far)
		w.networks[i] = n
	}
	return w
}

func (n *network) serve(t *testing.T, addr string) {
	var listener net.Listener
	var names net.PacketConn
	var err, failed error
	n.place.Do(func() {
		listener, err = net.Listen("tcp", addr+":80")
		names, failed = net.ListenPacket("udp", addr+":53")
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	files := &http.Server{
		Handler: http.HandlerFunc(n.answer),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				n.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				n.open.Add(-1)
			}
		},
	}
	lookups := &dns.Server{PacketConn: names, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if question := q.Question[0]; question.Qtype == dns.TypeA && question.Name == host+"." {
			rr, _ := dns.NewRR(fmt.Sprintf("%s. 60 IN A %s", host, addr))
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go files.Serve(listener)
	go lookups.ActivateAndServe()
	t.Cleanup(func() {
		files.Close()
		lookups.Shutdown()
	})
}

func (n *network) answer(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.asked = append(n.asked, r)
	handler := n.handler
	n.mu.Unlock()
	handler(w, r)
}

// answers has the servers answer so from now on, and forgets what they have been asked.
func (w *world) answers(handlers ...http.HandlerFunc) {
	for i, n := range w.networks {
		n.mu.Lock()
		n.asked, n.handler = nil, handlers[min(i, len(handlers)-1)]
		n.mu.Unlock()
	}
}

// requests are those that the network's server has been asked.
func (n *network) requests() []*http.Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*http.Request(nil), n.asked...)
}

// file answers with the content, under the validator.
func file(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	}
}

// whole answers as file does, and ignores Range.
func whole(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		file(content, etag)(w, r)
	}
}

// chunked answers as file does, without a Content-Length.
func chunked(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := max(rangeOf(r), 0)
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		for part := range slices.Chunk(content[from:], 10_000) {
			w.Write(part)
			w.(http.Flusher).Flush()
		}
	}
}

// refuses answers with the status, whatever is asked.
func refuses(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", status) }
}

// inTurn answers the first time as the one says, then as the other.
func inTurn(first, then http.HandlerFunc) http.HandlerFunc {
	var asked atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.Swap(true) {
			then(w, r)
		} else {
			first(w, r)
		}
	}
}

// content is so many octets of which no two runs are alike.
func content(size int) []byte {
	b := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(b)
	return b
}

// rangeOf is the offset that a request asks for, -1 if for all.
func rangeOf(r *http.Request) int64 {
	from, found := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !found {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(from, "-"), 10, 64)
	if err != nil {
		return -2
	}
	return n
}
