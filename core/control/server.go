// Accepts connections to the control socket.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"midstream/core/guard"
)

const (
	maxConns    = 128             // connections at a time, of one user
	maxInFlight = 64              // requests of one connection at a time
	writeLimit  = 5 * time.Second // how long a peer may let a message wait
)

// Handler is what the server asks: the controller. Its methods are called from many goroutines.
type Handler interface {
	// Sessions returns the present sessions, without waiting for anything slow.
	Sessions() []Session
	// Migrate moves what p selects and returns when each stream has moved or failed. ctx ends with
	// the server; p's time-out is the handler's to keep. p is valid as to its form.
	Migrate(ctx context.Context, p MigrateParams) (MigrateResult, error)
	// Subscribe is Hub.Subscribe, or something like it: events that find the channel full are to be
	// skipped, not waited with.
	Subscribe() (<-chan Event, func())
}

// Guarded is a Handler whose events are not for everybody who may connect.
type Guarded interface {
	// MayWatch returns an error where the user is not to be told.
	MayWatch(uid int) error
}

// Extension is a Handler that answers further methods.
type Extension interface {
	// Call answers a method; known is false for one that there is not. params is what the request has, perhaps
	// nothing; Params reads it. ctx ends with the connection.
	Call(ctx context.Context, p *Peer, method string, params json.RawMessage) (result any, known bool, err error)
}

// Peer is who is at the other end of a connection.
type Peer struct{ conn *conn }

// UID is its user.
func (p *Peer) UID() int { return p.conn.uid }

// PID is its process, 0 where that is not of this PID namespace.
func (p *Peer) PID() int { return p.conn.pid }

// Notify sends a notification. A peer that does not take it in time loses the connection.
func (p *Peer) Notify(method string, params any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	p.conn.write(Response{JSONRPC: Version, Method: method, Params: text})
	return p.conn.ctx.Err()
}

// Close ends the connection.
func (p *Peer) Close() { p.conn.close() }

// Same tells whether two are the ends of one connection.
func (p *Peer) Same(o *Peer) bool { return p.conn == o.conn }

// Params reads parameters strictly; none at all are taken as an empty object. Its error is an *Error.
func Params(method string, text json.RawMessage, into any) error {
	return params(Request{Method: method, Params: text}, into)
}

// Answer is what Extension.Call returns for a method of which do makes the result.
func Answer[P any](method string, text json.RawMessage, do func(P) any) (result any, known bool, err error) {
	var p P
	if err := Params(method, text, &p); err != nil {
		return nil, true, err
	}
	return do(p), true, nil
}

// Server answers the control socket of one process.
type Server struct {
	handler Handler
	allowed func(uid int) bool
	most    int // connections of one user
	times   int // times as many of all users together, 0: no bound
	octets  account
	ctx     context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	closed bool
	conns  map[*net.UnixConn]int // with their users
	wg     sync.WaitGroup
}

// AllowAll lets every user of the host connect; the handler has to ask for Peer.UID. To be called before Serve.
func (s *Server) AllowAll() { s.allowed = func(int) bool { return true } }

// Serves makes room for n connections of each user, where there is one for every process. To be called before Serve.
func (s *Server) Serves(n int) { s.most = n }

// NewServer returns a server that asks h.
func NewServer(h Handler) *Server {
	ctx, stop := context.WithCancel(context.Background())
	return &Server{
		handler: h,
		allowed: func(uid int) bool { return uid == 0 || uid == os.Geteuid() },
		most:    maxConns,
		ctx:     ctx, stop: stop,
		conns: map[*net.UnixConn]int{},
	}
}

// Serve answers connections until Close, or until the listener fails for good; it returns nil after
// the one and the error after the other. It owns l and closes it. It may be called once.
func (s *Server) Serve(l *net.UnixListener) error {
	defer l.Close()
	defer context.AfterFunc(s.ctx, func() { l.Close() })()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if s.ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors or memory: the connections that there are may still end.
			select {
			case <-s.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.accept(c)
	}
}

// accept answers c in a goroutine of its own, or turns it away.
func (s *Server) accept(c *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	var refusal *Error
	cred, err := peer(c)
	uid, of := -1, 0
	if err == nil {
		uid = int(cred.Uid)
	}
	for _, one := range s.conns {
		if one == uid {
			of++
		}
	}
	if err != nil || !s.allowed(uid) {
		refusal = errorf(CodePermission, "permission denied: this process belongs to user %d; ask as that user or as root", os.Geteuid())
	} else if of >= s.most {
		refusal = errorf(CodeBusy, "there are already %d connections to this process; close one", s.most)
	} else if s.times > 0 && len(s.conns) >= s.times*s.most {
		refusal = errorf(CodeBusy, "there are already %d connections of all users to this process", len(s.conns))
	}
	if refusal != nil {
		// It fits into the empty socket buffer, so that this does not wait.
		refused := newConn(s, c)
		refused.reply(null, nil, refusal)
		refused.close()
		return
	}
	s.conns[c] = uid
	s.wg.Go(func() {
		defer guard.Recover()
		n := newConn(s, c)
		n.uid, n.pid = uid, int(cred.Pid)
		n.serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	})
}

// Close ends Serve, all connections and the requests under way, and waits for them.
func (s *Server) Close() {
	s.stop()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Serve serves a process's control socket until that fails. told is given its path once it listens.
func Serve(h Handler, pid int, told func(path string)) error {
	dir, err := EnsureRuntimeDir()
	if err != nil {
		return err
	}
	listener, err := Listen(dir, pid)
	if err != nil {
		return err
	}
	told(SocketPath(dir, pid))
	return NewServer(h).Serve(listener)
}
