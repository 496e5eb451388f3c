// A content server with an even flow, for measuring pauses: nginx's limit_rate sends in bursts
// with pauses of some hundred milliseconds, here the kernel paces every connection.

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// pacedVariable carries a pacedServer as JSON to the process that serves it.
const pacedVariable = "MIDSTREAM_LAB_PACED"

const soMaxPacingRate = 47 // SO_MAX_PACING_RATE, socket(7)

type pacedServer struct {
	Root    string
	Sockets []string
	Rate    int64
	Log     string

	Certificate, Key string
	MaxVersion       uint16
	Framings         []string
	NoRange          bool
}

// Paced serves docroot with the validators and the access log of nginx, each connection at an even
// LimitRate. Extra is not used.
func (n *Network) Paced(docroot string, o ServerOptions) *Server {
	n.lab.t.Helper()
	o = o.complete(n)
	s := n.newServer("paced")
	described, err := json.Marshal(pacedServer{Root: docroot, Sockets: o.sockets(), Rate: o.LimitRate, Log: s.LogFile,
		Certificate: o.Certificate, Key: o.Key, MaxVersion: o.MaxVersion, Framings: o.Framings, NoRange: o.NoRange})
	n.must(err)
	self, err := os.Executable()
	n.must(err)
	return s.start(o.sockets()[0], "env", stageVariable+"=paced", pacedVariable+"="+string(described), self)
}

func servePaced() error {
	var p pacedServer
	if err := json.Unmarshal([]byte(os.Getenv(pacedVariable)), &p); err != nil {
		return fmt.Errorf("read %s: %w", pacedVariable, err)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	released := make(chan os.Signal, 1)
	signal.Notify(released, releaseSignal)
	var open sync.Map // of net.Conn
	go func() {
		for range released {
			open.Range(func(c, _ any) bool { setPace(c.(net.Conn), -1); return true })
		}
	}()
	server := &http.Server{Handler: &pacedHandler{root: p.Root, log: log, framings: p.Framings, noRange: p.NoRange}, ConnContext: p.pace,
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Store(c, nil)
			case http.StateClosed, http.StateHijacked:
				open.Delete(c)
			}
		},
		TLSConfig: &tls.Config{MaxVersion: p.MaxVersion, NextProtos: []string{"http/1.1"}}}
	failed := make(chan error, len(p.Sockets))
	for _, socket := range p.Sockets {
		l, err := net.Listen("tcp", socket)
		if err != nil {
			return err
		}
		go func() {
			if p.Certificate != "" {
				failed <- server.ServeTLS(l, p.Certificate, p.Key)
				return
			}
			failed <- server.Serve(l)
		}()
	}
	return <-failed
}

func (p pacedServer) pace(ctx context.Context, c net.Conn) context.Context {
	if p.Rate > 0 {
		setPace(c, int(p.Rate))
	}
	return ctx
}

// setPace has the kernel send so many octets a second; -1 is as many as it can.
func setPace(c net.Conn, rate int) {
	if over, is := c.(*tls.Conn); is {
		c = over.NetConn()
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soMaxPacingRate, rate)
		// What waits in the socket is served even after the process is stopped: keep it short.
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 64<<10)
	})
}

// releaseSignal is what Release sends.
const releaseSignal = syscall.SIGUSR1

// Release lets a Paced server send the rest of what it sends at present as fast as it can. Later connections are paced again.
func (s *Server) Release() { s.signal(releaseSignal, false) }

type pacedHandler struct {
	root     string
	framings []string
	noRange  bool
	mu       sync.Mutex
	log      *os.File
}

// measured remembers what went out, for the log.
type measured struct {
	http.ResponseWriter
	status  int
	sent    int64
	framing string
}

func (m *measured) WriteHeader(status int) {
	m.status = status
	switch m.framing {
	case "chunked":
		m.Header().Del("Content-Length")
	case "close":
		m.Header().Del("Content-Length")
		m.Header().Set("Transfer-Encoding", "identity") // which net/http takes for this, and does not send
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *measured) Write(b []byte) (int, error) {
	n, err := m.ResponseWriter.Write(b)
	m.sent += int64(n)
	return n, err
}

func (h *pacedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &measured{ResponseWriter: w, status: http.StatusOK}
	if len(h.framings) > 0 {
		out.framing = h.framings[rand.IntN(len(h.framings))]
	}
	defer h.record(out, r)
	f, err := os.Open(filepath.Join(h.root, filepath.Clean("/"+r.URL.Path)))
	if err != nil {
		http.NotFound(out, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(out, r)
		return
	}
	w.Header().Set("Server", "paced")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().Unix(), info.Size()))
	asked := r
	if h.noRange {
		asked = r.Clone(r.Context())
		asked.Header.Del("Range")
	}
	http.ServeContent(out, asked, "", info.ModTime(), f)
}

func (h *pacedHandler) record(m *measured, r *http.Request) {
	field := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	client, port, _ := net.SplitHostPort(r.RemoteAddr)
	local, _, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(h.log, "%.3f\t%s\t%s\t%s\t%s %s %s\t%d\t%s\t%s\t%s\t%s\t%d\t%s\n",
		float64(time.Now().UnixMilli())/1000, local, client, port, r.Method, r.RequestURI, r.Proto, m.status, field(r.Host),
		field(r.Header.Get("Range")), field(r.Header.Get("If-Range")), field(m.Header().Get("Content-Range")), m.sent, field(r.UserAgent()))
}
