package ftp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"midstream/core/dial"
	"midstream/core/netif"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// session is a control connection of Midstream's own, logged in, in the file's directory. It stands beside its data connection, on which
// nothing has been asked for yet. One goroutine uses it at a time.
type session struct {
	conn  *dial.Conn
	index int // of the interface that it is over
	in    *bufio.Reader

	of      *Transfer
	size    int64 // of the file, -1: it has not said
	date    string
	refused error // the server will not do
	denied  bool  // for its user

	options dial.Options // of its data connections
	by      *Control     // whose transfer it is for
	proved  bool         // Prove has found what the program has received
}

// Remote implements dial.Beside.
func (s *session) Remote() netip.AddrPort { return s.conn.Remote() }

// Close implements dial.Beside.
func (s *session) Close() error { return s.conn.Close() }

var errReply = errors.New("a reply of FTP's is too long, or is none")

// reply reads one that is not a preliminary one, unless that is what is waited for.
func (s *session) reply(preliminary bool) (*reply, error) {
	for {
		r := &reply{}
		for ended := false; !ended; {
			line, err := s.in.ReadSlice('\n')
			if err == bufio.ErrBufferFull {
				err = errReply
			}
			if err != nil {
				return nil, err
			}
			var bad bool
			if ended, bad = r.add([]byte(strings.TrimRight(string(line), "\r\n"))); bad || r.size > maxText {
				return nil, errReply
			}
		}
		if r.code >= 200 || preliminary {
			return r, nil
		}
	}
}

// bound has ctx bound what is done with the connection, until release is called.
func bound(ctx context.Context, conn *dial.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			conn.SetDeadline(time.Time{})
		}
	}
}

// replied says that the server's answer is not what was expected.
func replied(r *reply, to string) error {
	return &refusal.Refusal{Why: reason.FTPReplied.With(r, to), Server: true, Passing: r.code/100 == 4}
}

// denies is replied for a command about the user. What servers say to those may have the user's secrets in it.
func (s *session) denies(r *reply, to string) error {
	s.denied = r.code/100 == 5
	return replied(&reply{code: r.code}, to)
}

// step is one command, and what becomes of its reply.
type step struct {
	line string
	take func(*reply) error
}

// expects takes a reply of the class.
func expects(class int, what string) func(*reply) error {
	return func(r *reply) error {
		if r.code/100 != class {
			return replied(r, what)
		}
		return nil
	}
}

// login logs in on the connection, as the program did, goes where the program was, asks about the file, and opens a data connection over
// the same interface. All commands are written together once the server has greeted: each is answered in order (RFC 959 §5.4), and none but the last
// does anything. What a server refuses is session.refused; an error is the connection's. The connection is taken over.
func login(ctx context.Context, conn *dial.Conn, t *Transfer, device string, domain int) (*dial.Conn, error) {
	s := &session{conn: conn, of: t, in: bufio.NewReaderSize(conn, maxLine), size: -1}
	if i, err := netif.ByName(device); err == nil {
		s.index = i.Index
	}
	defer bound(ctx, conn)()
	greeting, err := s.reply(false)
	if err != nil {
		conn.Reset()
		return nil, fmt.Errorf("no greeting from %v: %w", conn.Remote(), err)
	}
	if greeting.code != 220 {
		return s.refuses(replied(greeting, "a connection")), nil
	}
	var port uint16
	steps := s.steps(t, &port)
	var octets []byte
	for _, step := range steps {
		octets = append(append(octets, step.line...), "\r\n"...)
	}
	_, err = conn.Write(octets)
	clear(octets)
	var refused error
	for i := 0; err == nil && i < len(steps); i++ {
		var r *reply
		if r, err = s.reply(false); err == nil && refused == nil {
			if refused = steps[i].take(r); refused != nil && r.code == 421 {
				break
			}
		}
	}
	if refused != nil {
		return s.refuses(refused), nil
	}
	if err != nil {
		conn.Reset()
		return nil, fmt.Errorf("%v does not answer: %w", conn.Remote(), err)
	}
	s.options = dial.Options{Device: device}
	if domain == syscall.AF_INET6 {
		s.options.Domain = domain
	}
	data, err := s.open(ctx, port)
	if err != nil {
		conn.Reset()
	}
	return data, err
}

// open opens a data connection to the port, beside which the session then stands.
func (s *session) open(ctx context.Context, port uint16) (*dial.Conn, error) {
	at := netip.AddrPortFrom(s.conn.Remote().Addr(), port)
	data, err := dial.Race(ctx, dial.Candidates(at), at, s.options)
	if err != nil {
		return nil, err
	}
	data.Stand(s)
	return data, nil
}

// refuses returns the control connection for one that whoever asks on it is refused.
func (s *session) refuses(why error) *dial.Conn {
	s.refused = why
	s.conn.Stand(refusing{s})
	return s.conn
}

// refusing stands beside its own control connection.
type refusing struct{ *session }

// Close implements dial.Beside.
func (refusing) Close() error { return nil }

func (s *session) steps(t *Transfer, port *uint16) []step {
	list := []step{{"USER " + string(t.user), func(r *reply) error {
		if r.code/100 != 2 && r.code != 331 {
			return s.denies(r, "USER")
		}
		return nil
	}}}
	if t.hasPass {
		list = append(list, step{"PASS " + string(t.pass), func(r *reply) error {
			if r.code/100 != 2 && r.code != 503 { // it needs none
				return s.denies(r, "PASS")
			}
			return nil
		}})
	}
	for _, line := range t.setup {
		verb, _ := parse([]byte(line))
		take := expects(2, verb)
		if verb == "OPTS" {
			take = func(*reply) error { return nil }
		}
		list = append(list, step{line, take})
	}
	list = append(list, step{"TYPE I", expects(2, "TYPE")}, step{"FEAT", func(r *reply) error {
		if r.code == 211 && len(r.text) > 1 && !r.restarts() {
			return refusal.New(reason.FTPRestart.Alone())
		}
		return nil
	}})
	return append(append(list, s.describes(t)...), s.passive(t, port))
}

// describes asks about the file.
func (s *session) describes(t *Transfer) []step {
	return []step{{"SIZE " + t.Name, func(r *reply) error {
		n, err := strconv.ParseInt(r.last(), 10, 64)
		if r.code != 213 || err != nil {
			return replied(r, "SIZE")
		}
		s.size = n
		return nil
	}}, {"MDTM " + t.Name, func(r *reply) error {
		s.date = ""
		if r.code == 213 {
			s.date = r.last()
		}
		return nil
	}}}
}

// passive asks for the port of a data connection.
func (s *session) passive(t *Transfer, port *uint16) step {
	verb := t.verb
	if !s.conn.Remote().Addr().Unmap().Is4() {
		verb = "EPSV"
	}
	return step{verb, func(r *reply) error {
		ok := false
		if verb == "EPSV" && r.code == 229 {
			*port, ok = ExtendedPassive(r.last())
		} else if verb == "PASV" && r.code == 227 {
			var at netip.AddrPort
			at, _, _, ok = Passive(r.last())
			*port = at.Port() // at the address of the control connection: what another one is for, nobody knows
		}
		if !ok {
			return replied(r, verb)
		}
		return nil
	}}
}
