// A scripted shim: it speaks core/channel's messages over a socket pair, in the place of the library in C, and reads what the program
// would have read. What it does with a hand-over, the test says.
package controller

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/digest"
	"midstream/core/reason"
)

// patience bounds every wait of a test: what is waited for comes in milliseconds on a machine that has nothing else to do.
const patience = 20 * time.Second

// scripted is the shim, with one stream.
type scripted struct {
	t    *testing.T
	w    *world
	c    *Controller
	conn *channel.Conn // its end
	come chan order    // but for questions, which are answered at once

	mu        sync.Mutex
	snapshot  channel.Snapshot
	guarded   bool
	calledOff uint64
	got       []byte // content that the program has read
	socket    net.Conn
	unread    *bufio.Reader // of that
}

// order is a message of the core's, with what is attached.
type order struct {
	channel.Message
	fd int
}

func settings() *config.Config {
	c := config.Default()
	c.Failover.Standby = config.StandbyNever
	c.Failover.Patience = 2 * time.Second
	for i, iface := range []string{"wlan0", "wwan0"} {
		c.Interfaces[iface] = config.Interface{DNS: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, byte(i + 1), 80}), 53)}}
	}
	return c
}

// newScripted starts a controller on the other end of a scripted shim's channel.
func newScripted(t *testing.T, w *world, c *config.Config) *scripted {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	shims, err := channel.New(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	cores, err := channel.New(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	p := &scripted{t: t, w: w, conn: shims, come: make(chan order, 100)}
	var said said
	p.c = New(cores, p, 1, c, nil, zerolog.New(&said))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.c.Run() })
	running.Go(func() { p.c.liaison.Serve(ctx) })
	running.Go(p.receive)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(said.String())
		}
		p.tell(channel.Closed, channel.Message{})
		cancel()
		shims.Close()
		cores.Close()
		running.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.socket != nil {
			p.socket.Close()
		}
	})
	return p
}

// said keeps the core's log, for a test that fails.
type said struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *said) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(line)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.String()
}

func (p *scripted) receive() {
	for {
		m, fd, err := p.conn.ReceiveFD()
		if err != nil {
			return
		}
		if m.Kind == channel.Ask {
			p.tell(channel.Info, channel.Message{Data: channel.SocketInfo{Position: p.position(), Inode: 1}.Encode()})
			continue
		}
		p.come <- order{m, fd}
	}
}

// The memory that shim and core share.

func (p *scripted) Read(uint32, uint64) (channel.Snapshot, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot, true
}

func (p *scripted) Tail(_ uint32, _, _ uint64, end int64, limit int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	end = min(end, int64(len(p.got)))
	return bytes.Clone(p.got[max(end-int64(limit), 0):end])
}

func (p *scripted) Guard(_ uint32, _ uint64, g channel.Guard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guarded = g != channel.GuardNone
}

func (p *scripted) CallOff(_ uint32, _, arming uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calledOff = arming
}

func (p *scripted) Quiet(uint32, uint64) (uint64, bool) { return 0, false }
func (p *scripted) Digest(uint32, uint64, uint64) (int64, digest.Digest, bool) {
	return 0, digest.Digest{}, false
}
func (p *scripted) Keep(uint32, uint64, bool) {}
func (p *scripted) Looks(bool)                {}
func (p *scripted) ByIssuer(bool)             {}
func (p *scripted) ControlPath(string)        {}
func (p *scripted) End()                      {}

func (p *scripted) position() channel.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return channel.Position{Received: int64(len(p.got)), Phase: p.snapshot.Phase}
}

// tell sends a message about the stream.
func (p *scripted) tell(kind channel.Kind, m channel.Message) {
	m.Kind, m.Stream = kind, 1
	if m.Exchange == 0 {
		m.Exchange = 1
	}
	p.conn.Send(m, -1)
}

// get has the program connect over wlan0 and send a GET. The response is not read.
func (p *scripted) get() {
	p.t.Helper()
	n := p.w.networks[0]
	conn, err := net.Dial("tcp", n.addr.String())
	if err != nil {
		p.t.Fatal(err)
	}
	request := "GET /film HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.snapshot = channel.Snapshot{Stream: 1, Exchange: 1, Phase: channel.PhaseHead}
	p.mu.Unlock()
	p.use(conn)
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	p.tell(channel.Opened, channel.Message{Data: channel.Opening{FD: 5, Domain: syscall.AF_INET, Protocol: syscall.IPPROTO_TCP,
		Peer: n.addr, Local: local}.Encode()})
	p.tell(channel.Request, channel.Message{Flags: channel.Last, Data: []byte(request)})
}

// head has the program read the response's head.
func (p *scripted) head() {
	p.t.Helper()
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		line, err := p.unread.ReadBytes('\n')
		if err != nil {
			p.t.Fatalf("%v after %q", err, head)
		}
		head = append(head, line...)
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.snapshot.Phase, p.snapshot.Head = channel.PhaseLength, int64(len(head))
	p.mu.Unlock()
	p.tell(channel.Response, channel.Message{Flags: channel.Last, A: int64(channel.PhaseLength), B: r.ContentLength, Data: head})
}

// read has the program read so many octets of content, none if it is further already.
func (p *scripted) read(n int64) {
	p.t.Helper()
	b := make([]byte, max(n, 0))
	p.socket.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(p.unread, b); err != nil {
		p.t.Fatalf("the program reads %d octets from %d on: %v", n, len(p.got), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, b...)
	p.snapshot.Received = int64(len(p.got))
}

// readSome has it read what is there.
func (p *scripted) readSome() {
	b := make([]byte, 1<<16)
	p.socket.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, _ := p.unread.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, b[:n]...)
	p.snapshot.Received = int64(len(p.got))
}

// readAll has it read the rest, of which all is that of the content.
func (p *scripted) readAll(content []byte) {
	p.t.Helper()
	p.read(int64(len(content) - len(p.got)))
	if !bytes.Equal(p.got, content) {
		p.t.Fatalf("the program has been handed other octets than the content's")
	}
	p.mu.Lock()
	p.snapshot.Phase = channel.PhaseIdle
	p.mu.Unlock()
	p.tell(channel.Done, channel.Message{A: int64(len(content))})
}

// use puts a connection on the program's descriptor.
func (p *scripted) use(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.socket != nil {
		p.socket.Close()
	}
	p.socket, p.unread = conn, bufio.NewReaderSize(conn, 1<<16)
}

// next is the core's next message, which is to be of that kind. On a busy machine an arming may be called off before it is
// answered here; the answer holds all the same.
func (p *scripted) next(kind channel.Kind) order {
	p.t.Helper()
	for {
		select {
		case o := <-p.come:
			if o.Kind == channel.Disarm && kind != channel.Disarm {
				continue
			}
			if o.Kind != kind {
				p.t.Fatalf("the core has sent a message of kind %d, not %d: %+v", o.Kind, kind, o)
			}
			return o
		case <-time.After(patience):
			p.t.Fatalf("the core sends nothing of kind %d", kind)
		}
	}
}

// nothing checks that the core has not sent anything yet.
func (p *scripted) nothing() {
	p.t.Helper()
	for {
		select {
		case o := <-p.come:
			if o.Kind != channel.Disarm {
				p.t.Fatalf("the core has sent a message of kind %d: %+v", o.Kind, o)
			}
		default:
			return
		}
	}
}

// armed is the core's next message, which arms the shim.
func (p *scripted) armed() (order, channel.Handover) {
	p.t.Helper()
	o := p.next(channel.Arm)
	h, err := channel.ParseHandover(o.Data)
	if err != nil || o.fd < 0 {
		p.t.Fatalf("%+v, descriptor %d, %v", h, o.fd, err)
	}
	return o, h
}

// carryOut does the hand-over: the program goes on with what has come.
func (p *scripted) carryOut(o order, h channel.Handover) {
	p.t.Helper()
	file := os.NewFile(uintptr(o.fd), "handed over")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	flags := channel.Flags(0)
	if h.Former == channel.Keep {
		flags = channel.Kept
	}
	p.use(conn)
	if h.Until > 0 {
		p.unread = bufio.NewReader(io.LimitReader(conn, h.Until-h.At)) // what comes behind is not the program's
	}
	if h.What == channel.Socket && h.Place == channel.InContent {
		overlap := int64(len(p.got)) - h.At
		conn.SetReadDeadline(time.Now().Add(patience))
		if overlap < 0 {
			p.t.Fatalf("carried out at %d, but asked for at %d", len(p.got), h.At)
		}
		if dropped := make([]byte, overlap); overlap > 0 {
			if _, err := io.ReadFull(p.unread, dropped); err != nil || !bytes.Equal(dropped, p.got[h.At:]) {
				p.t.Fatalf("the overlap is not what the program has had: %v", err)
			}
		}
	}
	p.tell(channel.Moved, channel.Message{Exchange: o.Exchange, Flags: flags, Arming: o.Arming, A: int64(len(p.got)), Data: p.position().Encode()})
	if h.Former != channel.Keep {
		p.tell(channel.Resumed, channel.Message{A: 1000})
	}
}

// refuse answers an arming with a reason.
func (p *scripted) refuse(o order, why reason.Code) {
	syscall.Close(o.fd)
	p.tell(channel.Unmoved, channel.Message{Exchange: o.Exchange, Arming: o.Arming, A: int64(len(p.got)), Data: reason.Reason{Why: why}.Encode()})
}

// stream waits for the controller to know of the stream and of its present exchange's head.
func (p *scripted) stream() *Stream {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if list := p.c.all(""); len(list) > 0 {
			return list[0]
		}
	}
	p.t.Fatal("the controller knows of no stream")
	return nil
}

// outcome is what a migration came to.
type outcome struct {
	*control.Migration
	error
}

// migrate has the controller move the stream; what comes of it comes.
func (p *scripted) migrate(to string) <-chan outcome {
	p.t.Helper()
	s := p.stream()
	done := make(chan outcome, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	go func() {
		defer cancel()
		m, err := s.mover.Migrate(ctx, to, triggerPerson)
		done <- outcome{m, err}
	}()
	return done
}

// await is what came of a migration.
func (p *scripted) await(done <-chan outcome) outcome {
	p.t.Helper()
	select {
	case m := <-done:
		return m
	case <-time.After(patience):
		p.t.Fatal("the migration does not end")
	}
	panic("not reached")
}

// fail has the connection end, of a program that is held.
func (p *scripted) fail(errno syscall.Errno) {
	p.tell(channel.Failed, channel.Message{Flags: channel.Held, A: int64(errno), B: int64(len(p.got))})
}

// eventually waits for what is to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so after a while: " + what)
		}
	}
}
