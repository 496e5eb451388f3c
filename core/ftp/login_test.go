package ftp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/dial/dialtest"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
)

// file is what servers have, under the name "a".
var file = func() []byte {
	octets := make([]byte, 300_000)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(octets)
	return octets
}()

// server is a scripted one: replies stand for what it would answer to a command.
type server struct {
	greeting string
	replies  map[string]string // by the command's verb; "" ends the connection
	file     []byte
	rest     func(int64) int64 // from where it sends, asked for that
	sends    int               // octets, then the data connection ends; 0 all
	then     map[string]string // replies once a file has been sent; END: the last word on that
	said     chan string
}

var good = map[string]string{
	"USER": "331 password", "PASS": "230 in", "CWD": "250 ok", "OPTS": "200 ok", "TYPE": "200 ok", "FEAT": "211-Features:\r\n REST STREAM\r\n SIZE\r\n211 End",
	"SIZE": "213 300000", "MDTM": "213 20240301120000", "REST": "350 ok", "RETR": "150 here it is", "END": "226 done",
}

func (s *server) serve(conn net.Conn) {
	fmt.Fprintf(conn, "%s\r\n", s.greeting)
	var from int64
	var data net.Listener
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		verb, arg := parse(lines.Bytes())
		if s.said != nil {
			s.said <- lines.Text()
		}
		reply, set := s.replies[verb]
		if !set {
			reply = good[verb]
		}
		if set && reply == "" {
			return
		}
		switch {
		case set:
		case verb == "PASV" || verb == "EPSV":
			var err error
			if data, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return
			}
			defer data.Close()
			port := data.Addr().(*net.TCPAddr).Port
			if reply = fmt.Sprintf("229 go (|||%d|)", port); verb == "PASV" {
				reply = fmt.Sprintf("227 go (192,0,2,1,%d,%d)", port>>8, port&0xff) // which is none of the test's addresses
			}
		case verb == "REST":
			fmt.Sscan(arg, &from)
		}
		fmt.Fprintf(conn, "%s\r\n", reply)
		if verb == "RETR" && !set {
			c, err := data.Accept()
			if err != nil {
				return
			}
			if s.rest != nil {
				from = s.rest(from)
			}
			octets := s.file[from:]
			if s.sends > 0 {
				octets = octets[:s.sends]
			}
			c.Write(octets)
			c.Close()
			last, set := s.then["END"]
			if !set {
				last = good["END"]
			}
			fmt.Fprintf(conn, "%s\r\n", last)
			if s.then != nil {
				s.replies = s.then
			}
		}
	}
}

// program has been handed so many octets.
type program int64

func (p program) Received() int64 { return int64(p) }
func (p program) Tail(end int64, limit int) []byte {
	return file[max(end-int64(limit), 0):end]
}
func (p program) Over() bool                           { return false }
func (p program) Complete([]byte) error                { return nil }
func (p program) Digest() (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }

func transferOf(verb string) *Transfer {
	return &Transfer{Name: "a", Size: int64(len(file)), Date: "20240301120000", Begun: true,
		plan: plan{user: []byte("me"), pass: []byte("secret"), hasPass: true, setup: []string{"CWD pub"}, verb: verb}}
}

// rest has the rest of a transfer asked of the server, and returns what comes.
func rest(t *testing.T, s *server, verb string, at int64) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s.file == nil {
		s.file = file
	}
	if s.greeting == "" {
		s.greeting = "220-Welcome\r\n220 to this server"
	}
	to := dialtest.Serve(t, s.serve)
	control, err := dial.Race(ctx, dial.Candidates(to), to, dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	of := transferOf(verb)
	conn, err := login(ctx, control, of, "", 0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if conn.Remote() != to {
		t.Errorf("it is said to be at %v, and not at %v", conn.Remote(), to)
	}
	response, err := http1.ParseResponse([]byte("HTTP/1.0 200 OK\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var b budget.Budget
	h := &resume.HTTP{Exchange: &resume.Exchange{Response: response}, Receiver: program(at)}
	h.Permit = func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error) {
		return b.Permit(ctx, budget.PlaceOf(iface, conn), true, h.Received)
	}
	r, err := (&Rest{HTTP: h, Transfer: of}).Ask(ctx, conn, resume.Question{At: at, Overlap: resume.OverlapFull, Exact: true, Brings: true})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r.Content)
}

func TestTheRest(t *testing.T) {
	for _, verb := range []string{"EPSV", "PASV"} {
		for _, at := range []int64{0, 1, 100, 65_536, 200_000, 299_999} {
			said := make(chan string, 100)
			got, err := rest(t, &server{said: said}, verb, at)
			if err != nil || !bytes.Equal(got, file[at:]) {
				t.Errorf("%s from %d: %d octets, %v", verb, at, len(got), err)
			}
			close(said)
			var all []string
			for line := range said {
				all = append(all, line)
			}
			want := "USER me|PASS secret|CWD pub|TYPE I|FEAT|SIZE a|MDTM a|" + verb + "|"
			if from := at - min(at, resume.OverlapFull); from > 0 {
				want += fmt.Sprintf("REST %d|", from)
			}
			if got := strings.Join(all, "|"); got != want+"RETR a" {
				t.Errorf("%s from %d: %s", verb, at, got)
			}
		}
	}
}

// Whatever a server does with any of the commands: nobody is handed an octet of it, and everybody hears why.
func TestAServerThatDoesNotHaveIt(t *testing.T) {
	other := bytes.Clone(file)
	other[199_000] ^= 1
	for name, c := range map[string]struct {
		s   *server
		why reason.Code
	}{
		"no greeting":               {&server{greeting: "421 too many"}, reason.FTPReplied},
		"not the user":              {&server{replies: map[string]string{"USER": "530 no"}}, reason.FTPReplied},
		"not the password":          {&server{replies: map[string]string{"PASS": "530 no"}}, reason.FTPReplied},
		"not the folder":            {&server{replies: map[string]string{"CWD": "550 no"}}, reason.FTPReplied},
		"no binary":                 {&server{replies: map[string]string{"TYPE": "504 no"}}, reason.FTPReplied},
		"no passive mode":           {&server{replies: map[string]string{"EPSV": "502 no"}}, reason.FTPReplied},
		"a port that is none":       {&server{replies: map[string]string{"EPSV": "229 (|||0|)"}}, reason.FTPReplied},
		"no REST STREAM":            {&server{replies: map[string]string{"FEAT": "211-Features:\r\n SIZE\r\n211 End"}}, reason.FTPRestart},
		"REST refused":              {&server{replies: map[string]string{"REST": "502 no"}}, reason.FTPRestart},
		"not the file":              {&server{replies: map[string]string{"SIZE": "550 no", "RETR": "550 no"}}, reason.FTPReplied},
		"not to be read":            {&server{replies: map[string]string{"RETR": "550 no"}}, reason.FTPReplied},
		"not now":                   {&server{replies: map[string]string{"RETR": "425 no data connection"}}, reason.FTPReplied},
		"another length":            {&server{replies: map[string]string{"SIZE": "213 300001"}}, reason.OtherTotal},
		"another date":              {&server{replies: map[string]string{"MDTM": "213 20240301120001"}}, reason.OtherContent},
		"no date":                   {&server{replies: map[string]string{"MDTM": "502 no"}}, reason.OtherContent},
		"other octets":              {&server{file: other}, reason.OctetsDiffer},
		"REST ignored":              {&server{rest: func(int64) int64 { return 0 }}, reason.OctetsDiffer},
		"REST a little aside":       {&server{rest: func(n int64) int64 { return n + 1 }}, reason.OctetsDiffer},
		"it ends within the octets": {&server{sends: 1000}, 0},
		"and behind them":           {&server{sends: resume.OverlapFull}, 0},
		"no line":                   {&server{replies: map[string]string{"CWD": "250-" + strings.Repeat("long", 2000) + "\r\n250 ok"}}, 0},
		"no reply":                  {&server{replies: map[string]string{"CWD": "hello"}}, 0},
		"a reply without end":       {&server{replies: map[string]string{"CWD": "250-" + strings.Repeat("x\r\n", 200_000)}}, 0},
	} {
		got, err := rest(t, c.s, "EPSV", 200_000)
		var no *refusal.Refusal
		if err == nil || len(got) > 0 || c.why != 0 && (!errors.As(err, &no) || no.Why.Why != c.why) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
	}
	for _, verb := range []string{"USER", "PASS", "CWD", "TYPE", "FEAT", "SIZE", "MDTM", "EPSV", "REST", "RETR"} {
		if got, err := rest(t, &server{replies: map[string]string{verb: ""}}, "EPSV", 200_000); err == nil || len(got) > 0 {
			t.Errorf("it ends at %s: %d octets, %v", verb, len(got), err)
		}
	}
}

// What is no refusal: answers of many lines, of servers that ask for no password, or know no FEAT or OPTS.
func TestAServerThatAnswersOtherwise(t *testing.T) {
	for name, replies := range map[string]map[string]string{
		"many lines":   {"PASS": "230-" + strings.Repeat("a line\r\n", 500) + "230-226 is not the end\r\n 230 nor this\r\n230 in"},
		"no password":  {"USER": "230 in", "PASS": "503 not needed"},
		"no FEAT":      {"FEAT": "500 what"},
		"an empty one": {"FEAT": "211 none"},
	} {
		if got, err := rest(t, &server{replies: replies}, "PASV", 200_000); err != nil || !bytes.Equal(got, file[200_000:]) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
	}
}

// The program's dialogue goes on, with the address that it believes in.
func TestADialogueIsCarriedOn(t *testing.T) {
	ours, theirs := dialtest.Pair(t)
	ours2, at := dialtest.Pair(t)
	s := &session{conn: ours2, in: bufio.NewReaderSize(ours2, maxLine)}
	s.carry(ours, [][]byte{[]byte("NOOP")}, false, netip.MustParseAddr("192.0.2.7"))
	fmt.Fprint(theirs, "PASV\r\n")
	in := bufio.NewReader(at)
	for _, want := range []string{"NOOP\r\n", "PASV\r\n"} {
		if line, err := in.ReadString('\n'); err != nil || line != want {
			t.Errorf("%q, %v", line, err)
		}
	}
	long := "230-" + strings.Repeat("x", 3*maxLine) + "\r\n"
	fmt.Fprint(at, "226 done\r\n"+long+"227 go (10,0,0,1,4,1).\r\n229 go (|||1025|)\r\n421 bye")
	at.Close()
	if all, err := io.ReadAll(theirs); err != nil || string(all) != "226 done\r\n"+long+"227 go (192,0,2,7,4,1).\r\n229 go (|||1025|)\r\n421 bye" {
		t.Errorf("%q, %v", all, err)
	}
}

// Of the transfer's last word, the program has read that of the server before.
func TestALastWordIsSaidOnce(t *testing.T) {
	ours, theirs := dialtest.Pair(t)
	ours2, at := dialtest.Pair(t)
	s := &session{conn: ours2, in: bufio.NewReaderSize(ours2, maxLine)}
	s.carry(ours, nil, true, netip.Addr{})
	fmt.Fprint(at, "150-more\r\n150 here\r\n226-done\r\n226 really\r\n257 \"/\"\r\n")
	at.Close()
	if all, err := io.ReadAll(theirs); err != nil || string(all) != "257 \"/\"\r\n" {
		t.Errorf("%q, %v", all, err)
	}
}

// What is ready for one transfer is not ready for another one: its folder is another, perhaps, and the length that it knows.
func TestWhatIsReadyIsForOneTransfer(t *testing.T) {
	to := dialtest.Serve(t, (&server{greeting: "220 go", file: file}).serve)
	control, err := dial.Race(t.Context(), dial.Candidates(to), to, dial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := login(t.Context(), control, transferOf("EPSV"), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := (&Rest{Transfer: transferOf("EPSV")}).ask(t.Context(), conn, resume.Question{}); !errors.Is(err, resume.ErrAgain) {
		t.Errorf("%v", err)
	}
}

// still is a program's control connection of which nothing is to be done.
type still struct{ Stream }

func (still) Guard(bool) {}

// received is a data connection.
type received struct{ *Transfer }

func (r *received) Begin(t *Transfer) { r.Transfer = t }
func (r *received) Whole() bool       { return false }

// controlOf has one on which the file has begun to come.
func controlOf(replies ...string) (*Control, *received) {
	c, data := NewControl(still{}, netip.MustParseAddrPort("192.0.2.1:21")), &received{}
	talk(&c.d, append(beginning, ">RETR a")...)
	c.Attach(data)
	for _, line := range append([]string{"150 here it is"}, replies...) {
		c.Say(false, []byte(line+"\r\n"))
	}
	return c, data
}

// The end of a data connection that has been asked for nothing any more is not that of the transfer in progress.
func TestAnotherDataConnectionEnds(t *testing.T) {
	c, data := controlOf()
	if data.Transfer == nil || !c.Why(data).None() || c.Why(&received{}).None() {
		t.Errorf("%+v, %v, %v", data.Transfer, c.Why(data), c.Why(&received{}))
	}
	if c.Ends(&received{}); !c.Why(data).None() {
		t.Errorf("%v", c.Why(data))
	}
	if c.Ends(data); c.Why(data).None() {
		t.Error("it would go on behind its end")
	}
}

// A server that does not let the user in is not asked to once more, and nobody is shown what it has said to the password.
func TestAServerThatKeepsTheUserOut(t *testing.T) {
	said := make(chan string, 100)
	to := dialtest.Serve(t, (&server{greeting: "220 go", said: said, replies: map[string]string{"PASS": "530 secret is none of mine"}}).serve)
	c, _ := controlOf()
	prepare := func() (*dial.Conn, error) {
		conn, err := dial.Race(t.Context(), dial.Candidates(to), to, dial.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Prepare(t.Context(), conn, "", 0)
	}
	conn, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = (&Rest{Transfer: c.Transfer()}).ask(t.Context(), conn, resume.Question{})
	var no *refusal.Refusal
	if !errors.As(err, &no) || no.Why.Why != reason.FTPReplied || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if _, err := prepare(); !errors.As(err, &no) {
		t.Errorf("%v", err)
	}
	close(said)
	users := 0
	for line := range said {
		if strings.HasPrefix(line, "USER") {
			users++
		}
	}
	if users != 1 {
		t.Errorf("it has been logged in to %d times", users)
	}
}

// A server that does not close a control connection of Midstream's, or cannot be heard any more, does not have it stay for good.
func TestNoControlConnectionIsLeftBehind(t *testing.T) {
	defer func(was time.Duration) { leaveFor = was }(leaveFor)
	leaveFor = 0
	for _, closedBefore := range []bool{false, true} {
		ours, at := dialtest.Pair(t)
		c, data := controlOf()
		s := &session{conn: ours, in: bufio.NewReaderSize(ours, maxLine), of: c.Transfer()}
		if closedBefore {
			moved, _ := dialtest.Pair(t)
			moved.Stand(s)
			c.Close()
			c.Moved(moved)
			fmt.Fprint(at, "226 done\r\n")
		} else {
			program, _ := dialtest.Pair(t)
			s.carry(program, nil, false, netip.Addr{})
			c.carried = s
			c.Ends(data)
			c.Close()
		}
		at.SetReadDeadline(time.Now().Add(10 * time.Second))
		if all, err := io.ReadAll(at); err != nil || len(all) > 0 {
			t.Errorf("closed before %v: %q, %v", closedBefore, all, err)
		}
	}
}
