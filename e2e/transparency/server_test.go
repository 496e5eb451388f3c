// The server that the programs talk to.

package transparency

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// content makes n octets that differ from one offset to the next.
var content = sync.OnceValue(func() []byte {
	octets := make([]byte, 16<<20)
	state := uint32(1)
	for i := range octets {
		state = state*1664525 + 1013904223
		octets[i] = byte(state >> 24)
	}
	return octets
})

// startServer starts the server and returns its address and port. Its answers
// carry a Content-Length and no date, and are the same each time:
//
//	/fixed/N       N octets, with ranges and an entity tag
//	/close/N       N octets, after which the server closes
//	/slow/N        N octets, the second half 150 ms after the first; /slow-close/N closes too
//	/later/N       N octets, the second half a second after the first
//	/hang/N        the first half of N octets; the rest never comes
//	/chunked/N     N octets in one chunk each hundred
//	/status/N      an empty answer with that status
//	/echo          the octets that were posted
func startServer(t *testing.T) (address, port string) {
	t.Helper()
	ended := make(chan struct{})
	halves := func(w http.ResponseWriter, r *http.Request, between func()) {
		n := number(r)
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(content()[:n/2])
		_ = http.NewResponseController(w).Flush()
		between()
		_, _ = w.Write(content()[n/2 : n])
	}
	fixed := func(w http.ResponseWriter, r *http.Request) {
		n := number(r)
		w.Header().Set("ETag", fmt.Sprintf("%q", strconv.Itoa(n)))
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content()[:n])))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/fixed/", fixed)
	mux.HandleFunc("/close/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		fixed(w, r)
	})
	mux.HandleFunc("/slow/", func(w http.ResponseWriter, r *http.Request) {
		halves(w, r, func() { time.Sleep(150 * time.Millisecond) })
	})
	mux.HandleFunc("/slow-close/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		halves(w, r, func() { time.Sleep(150 * time.Millisecond) })
	})
	mux.HandleFunc("/later/", func(w http.ResponseWriter, r *http.Request) {
		halves(w, r, func() { time.Sleep(time.Second) })
	})
	mux.HandleFunc("/hang/", func(w http.ResponseWriter, r *http.Request) {
		halves(w, r, func() {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			panic(http.ErrAbortHandler)
		})
	})
	mux.HandleFunc("/chunked/", func(w http.ResponseWriter, r *http.Request) {
		for i, n := 0, number(r); i < n; i += 100 {
			_, _ = w.Write(content()[i:min(i+100, n)])
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/status/", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(number(r)) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		posted, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", strconv.Itoa(len(posted)))
		_, _ = w.Write(posted)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
	})
	address, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address, port
}

// number is the last element of the request's path, 0 where it is none or too large.
func number(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if err != nil || n < 0 || n > len(content()) {
		return 0
	}
	return n
}
