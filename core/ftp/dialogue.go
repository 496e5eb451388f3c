package ftp

import (
	"bytes"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"midstream/core/exchange"
	"midstream/core/reason"
)

const (
	maxPending = 64  // commands that wait for their replies
	maxSetup   = 128 // commands that are said again
	maxFiles   = 256 // whose lengths and dates are known
)

// Dialogue is what a program and its server have said on a control connection, as the program has written and read it. It knows no
// socket. The zero value is one of which nothing has been said.
type Dialogue struct {
	said, answered lines
	reply          reply
	pending        []command // that have not been answered in full, the oldest first

	user, pass []byte
	hasPass    bool
	setup      []string // what has been said since, and has to be said again
	binary     bool     // TYPE I
	odd        bool     // another MODE than S, or another STRU than F
	verb       string   // by which data connections are had: PASV or EPSV; "" in active mode
	rest       int64    // of REST; -1: servers differ in whether it still holds
	size       map[string]int64
	date       map[string]string
	last       *Transfer
	since      int // commands that have been said since that was asked for
	why        reason.Reason
}

// command is one that the program has written.
type command struct {
	verb, arg string
	line      []byte // without its end
	transfer  *Transfer
}

// Transfer is a file that has been asked for. It is constant once it has begun.
type Transfer struct {
	Name  string
	First int64  // of REST
	Size  int64  // of the whole file, -1 unknown
	Date  string // MDTM's, "" unknown
	Begun bool   // the server has answered that it begins
	Over  bool   // the server has had the last word,
	Done  bool   // which is that it has sent all
	Why   reason.Reason
	plan
}

// Authority is host[:port] as in an ftp URL.
func Authority(host string, port uint16) string {
	if port == 21 {
		return strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// File is what is shown of it.
func (t *Transfer) File() exchange.File {
	at := ""
	for _, line := range append(slices.Clone(t.setup), "CWD "+t.Name) {
		verb, arg := parse([]byte(line))
		switch {
		case verb == "CDUP" || verb == "XCUP":
			at = path.Join(at, "..")
		case verb == "OPTS":
		case strings.HasPrefix(arg, "/"):
			at = arg
		default:
			at = path.Join(at, arg)
		}
	}
	at = strings.TrimPrefix((&url.URL{Path: at}).EscapedPath(), "/")
	return exchange.File{Scheme: "ftp", Path: at, First: t.First, Total: t.Size, Why: t.Why}
}

// plan is what another server has to be told before it can be asked for the file.
type plan struct {
	user, pass []byte
	hasPass    bool
	setup      []string
	verb       string
}

// Say takes octets that the program has written; they are overwritten.
func (d *Dialogue) Say(octets []byte) {
	d.said.each(octets, d.command)
	clear(octets)
}

// Answer takes octets that the program has read.
func (d *Dialogue) Answer(octets []byte) {
	d.answered.each(octets, func(line []byte) {
		ended, bad := d.reply.add(line)
		if bad {
			d.refuse(reason.FTPDialogue.Alone())
		} else if ended {
			d.answer(&d.reply)
		}
	})
}

// Transfer is the last file that has been asked for, nil if there is none.
func (d *Dialogue) Transfer() *Transfer { return d.last }

// Why says why no transfer can be continued, if none can.
func (d *Dialogue) Why() reason.Reason { return d.why }

// Standing is how the dialogue can go on with a server that is asked for the rest of the transfer t: the commands behind that are said to it,
// and where its last word has been read already, answered, the new one's is not to be. Otherwise it says why it cannot.
func (d *Dialogue) Standing(t *Transfer) (unanswered [][]byte, answered bool, why reason.Reason) {
	switch {
	case d.reply.more || len(d.answered.line) > 0 || len(d.said.line) > 0:
		return nil, false, reason.FTPBusy.Alone() // half of it would be said, or read
	case t == nil || t != d.last:
		return nil, false, reason.ExchangeEnded.Alone()
	case t.Over && (!t.Done || d.since > 0):
		// It has been given up, or what has been said since is not known to the new server.
		return nil, false, reason.ExchangeEnded.Alone()
	case t.Over:
		return nil, true, reason.Reason{}
	}
	for _, c := range d.pending[1:] {
		switch c.verb {
		case "NOOP", "QUIT", "STAT":
			unanswered = append(unanswered, bytes.Clone(c.line))
		default:
			return nil, false, reason.FTPBusy.Alone()
		}
	}
	return unanswered, false, reason.Reason{}
}

func (d *Dialogue) refuse(why reason.Reason) {
	if d.why.None() {
		d.why = why
	}
}

// parse takes a line apart. Telnet's signals may stand before ABOR (RFC 959 §4.1.3).
func parse(line []byte) (verb, arg string) {
	for len(line) > 0 && line[0] >= 0xf0 {
		line = line[1:]
	}
	word, rest, _ := bytes.Cut(line, []byte(" "))
	return strings.ToUpper(string(word)), string(rest)
}

// secret reports whether the command's argument is not to be kept in many places.
func secret(verb string) bool { return verb == "PASS" || verb == "ACCT" }

func (d *Dialogue) command(line []byte) {
	verb, arg := parse(line)
	c := command{verb: verb, arg: arg, line: bytes.Clone(line)}
	d.since++
	if len(line) >= maxLine-1 {
		d.refuse(reason.FTPDialogue.Alone()) // it has been longer, perhaps
	}
	switch verb {
	case "USER":
		d.restart()
		d.user = []byte(arg)
	case "PASS":
		clear(d.pass)
		d.pass, d.hasPass = []byte(arg), true
	case "RETR":
		t := &Transfer{Name: arg, Size: -1}
		d.last, c.transfer, d.since = t, t, 0
	}
	if secret(verb) {
		clear(c.line)
		c.arg = ""
	}
	if d.pending = append(d.pending, c); len(d.pending) > maxPending {
		d.pending = d.pending[1:]
		d.refuse(reason.FTPDialogue.Alone())
	}
}

// restart forgets all that belongs to one login.
func (d *Dialogue) restart() {
	clear(d.pass)
	d.pass, d.hasPass, d.setup, d.binary, d.odd, d.verb, d.rest = nil, false, nil, false, false, "", 0
	d.forget()
}

// forget what is known of files: other names may mean them.
func (d *Dialogue) forget() {
	d.size, d.date = map[string]int64{}, map[string]string{}
}

// Forget overwrites the password.
func (d *Dialogue) Forget() { clear(d.pass) }

func (d *Dialogue) answer(r *reply) {
	if len(d.pending) == 0 {
		if r.code != 220 && r.code != 421 { // the greeting, and a goodbye
			d.refuse(reason.FTPDialogue.Alone())
		}
		return
	}
	c := d.pending[0]
	if r.code < 200 {
		if c.transfer != nil {
			d.begin(c.transfer, r)
		}
		return
	}
	d.pending = slices.Delete(d.pending, 0, 1)
	if c.transfer != nil {
		c.transfer.Over, c.transfer.Done = true, r.code/100 == 2
		if !c.transfer.Begun {
			d.doubtRest()
		}
		return
	}
	d.done(c, r)
}

// begin takes that the server is about to send the file.
func (d *Dialogue) begin(t *Transfer, r *reply) {
	if t.Begun {
		return
	}
	t.First, t.Date = max(d.rest, 0), d.date[t.Name]
	if n, known := d.size[t.Name]; known {
		t.Size = n
	} else if t.First == 0 {
		t.Size = sizeIn(r.last())
	}
	t.plan = plan{user: d.user, pass: d.pass, hasPass: d.hasPass, setup: slices.Clone(d.setup), verb: d.verb}
	switch {
	case !d.why.None():
		t.Why = d.why
	case d.rest < 0:
		t.Why = reason.FTPDialogue.Alone()
	case d.verb == "":
		t.Why = reason.FTPActive.Alone()
	case !d.binary:
		t.Why = reason.FTPAscii.Alone()
	case d.odd:
		t.Why = reason.FTPMode.Alone()
	case t.Size < t.First:
		t.Why = reason.FTPLength.Alone()
	}
	t.Begun, d.rest = true, 0
}

// doubtRest takes that a command has come between REST and what it was meant for.
func (d *Dialogue) doubtRest() {
	if d.rest > 0 {
		d.rest = -1
	}
}

// done takes a command's last reply.
func (d *Dialogue) done(c command, r *reply) {
	good := r.code/100 == 2
	switch c.verb {
	case "USER", "PASS":
		if r.code == 332 {
			d.refuse(reason.FTPAccount.With("ACCT"))
		}
	case "ACCT":
		if good {
			d.refuse(reason.FTPAccount.With(c.verb))
		}
	case "REIN":
		d.restart()
	case "CWD", "XCWD", "CDUP", "XCUP", "OPTS":
		if good {
			d.setUp(c)
		}
	case "TYPE":
		if good {
			arg := strings.ToUpper(strings.TrimSpace(c.arg))
			d.binary = arg == "I" || arg == "L 8" || arg == "L8"
		}
	case "MODE", "STRU":
		if good {
			d.odd = !strings.EqualFold(strings.TrimSpace(c.arg), map[string]string{"MODE": "S", "STRU": "F"}[c.verb])
		}
	case "PASV", "EPSV":
		if good && !strings.EqualFold(c.arg, "ALL") {
			d.verb = c.verb
		}
	case "PORT", "EPRT", "LPRT", "LPSV":
		if good {
			d.verb = ""
		}
	case "REST":
		if n, err := strconv.ParseInt(strings.TrimSpace(c.arg), 10, 64); r.code == 350 && err == nil && n >= 0 {
			d.rest = n
		}
	case "SIZE":
		if n, err := strconv.ParseInt(r.last(), 10, 64); r.code == 213 && err == nil && n >= 0 && d.binary && len(d.size) < maxFiles { // RFC 3659 §4: of TYPE A, another one
			d.size[c.arg] = n
		}
	case "MDTM":
		if r.code == 213 && len(d.date) < maxFiles {
			d.date[c.arg] = r.last()
		}
	case "STOR", "APPE", "STOU", "DELE", "RNTO":
		d.forget()
		d.doubtRest()
	case "LIST", "NLST", "MLSD":
		d.doubtRest()
	case "ABOR", "ALLO", "CLNT", "FEAT", "HASH", "HELP", "LANG", "MFMT", "MKD", "MLST", "NOOP", "PWD", "QUIT", "RMD", "RNFR", "STAT", "SYST", "XCRC", "XMD5", "XMKD", "XPWD", "XRMD":
		// It changes nothing that another server has to be told.
	default: // SITE; HOST, by which one server is several; and what is not known here
		if good {
			d.refuse(reason.FTPAccount.With(c.verb))
		}
	}
}

// setUp notes what has to be said again to another server.
func (d *Dialogue) setUp(c command) {
	if c.verb != "OPTS" {
		d.forget()
		if strings.HasPrefix(c.arg, "/") {
			d.setup = slices.DeleteFunc(d.setup, func(line string) bool { return !strings.HasPrefix(line, "OPTS ") })
		}
	}
	line := c.verb
	if c.arg != "" {
		line += " " + c.arg
	}
	if d.setup = append(d.setup, line); len(d.setup) > maxSetup {
		d.refuse(reason.FTPAccount.With("CWD"))
	}
}
