// Accepts connections to the control socket.
package control

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	maxConns    = 128             // connections at a time
	maxInFlight = 64              // requests of one connection at a time
	writeLimit  = 5 * time.Second // how long a peer may let a message wait
)

// Handler is what the server asks: the controller. Its methods are called from many goroutines.
type Handler interface {
	// Sessions returns the present sessions, without waiting for anything slow.
	Sessions() []Session
	// Migrate moves what p selects and returns when each stream has moved or failed. ctx ends with
	// p's time-out and with the server. p is valid as to its form.
	Migrate(ctx context.Context, p MigrateParams) (MigrateResult, error)
	// Subscribe is Hub.Subscribe, or something like it: events that find the channel full are to be
	// skipped, not waited with.
	Subscribe() (<-chan Event, func())
}

// Server answers the control socket of one process.
type Server struct {
	handler Handler
	allowed func(uid int) bool
	ctx     context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	closed bool
	conns  map[*net.UnixConn]struct{}
	wg     sync.WaitGroup
}

// NewServer returns a server that asks h.
func NewServer(h Handler) *Server {
	ctx, stop := context.WithCancel(context.Background())
	return &Server{
		handler: h,
		allowed: func(uid int) bool { return uid == 0 || uid == os.Geteuid() },
		ctx:     ctx, stop: stop,
		conns: map[*net.UnixConn]struct{}{},
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
	if uid, err := peer(c); err != nil || !s.allowed(uid) {
		refusal = errorf(CodePermission, "permission denied: this process belongs to user %d; ask as that user or as root", os.Geteuid())
	} else if len(s.conns) >= maxConns {
		refusal = errorf(CodeBusy, "there are already %d connections to this process; close one", maxConns)
	}
	if refusal != nil {
		// It fits into the empty socket buffer, so that this does not wait.
		refused := newConn(s, c)
		refused.reply(null, nil, refusal)
		refused.close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Go(func() {
		newConn(s, c).serve()
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
