package ftp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"midstream/core/reason"
)

// talk has a dialogue of lines that begin with ">" (the program's) or "<".
func talk(d *Dialogue, lines ...string) *Transfer {
	for _, line := range lines {
		octets := []byte(strings.TrimSpace(line[1:]) + "\r\n")
		if line[0] == '>' {
			d.Say(octets)
		} else {
			d.Answer(octets)
		}
	}
	return d.Transfer()
}

// login is how dialogues begin.
var beginning = []string{"<220-Welcome", "<220 to this server", ">USER me", "<331 please", ">PASS secret", "<230 in", ">CWD pub", "<250 ok",
	">TYPE I", "<200 ok", ">SIZE a", "<213 1000", ">MDTM a", "<213 20240301120000", ">EPSV", "<229 go (|||1025|)"}

func TestATransfer(t *testing.T) {
	const known, begins = "1000 20240301120000", "<150 here it is"
	for _, one := range []struct {
		name  string
		lines []string
		first int64
		known string
		why   reason.Code
	}{
		{"plain", []string{">RETR a", begins}, 0, known, 0},
		{"from an offset", []string{">REST 400", "<350 from there", ">RETR a", begins}, 400, known, 0},
		{"from an offset that is refused", []string{">REST 400", "<502 no", ">RETR a", begins}, 0, known, 0},
		{"an offset holds once", []string{">REST 400", "<350 yes", ">RETR a", "<150 so", "<226 done", ">RETR a", begins}, 0, known, 0},
		{"or may still hold", []string{">REST 400", "<350 yes", ">NLST", "<150 so", "<226 done", ">RETR a", begins}, 0, known, reason.FTPDialogue},
		{"or for what is there", []string{">REST 400", "<350 yes", ">RETR b", "<550 no", ">RETR a", begins}, 0, known, reason.FTPDialogue},
		{"all at once", []string{">REST 9", ">RETR a", "<350 yes", begins}, 9, known, 0},
		{"the length is said at its beginning", []string{">RETR b", "<150 Opening BINARY mode data connection for b (77 bytes)."}, 0, "77 ", 0},
		{"that may be the rest's", []string{">REST 5", "<350 yes", ">RETR b", "<150 b (77 bytes)"}, 5, "-1 ", reason.FTPLength},
		{"no length", []string{">RETR b", begins}, 0, "-1 ", reason.FTPLength},
		{"another folder has other files", []string{">CWD ..", "<250 ok", ">RETR a", begins}, 0, "-1 ", reason.FTPLength},
		{"ASCII", []string{">TYPE A", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPAscii},
		{"active", []string{">PORT 10,0,0,1,4,1", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPActive},
		{"active, extended", []string{">EPRT |1|10.0.0.1|1025|", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPActive},
		{"MODE B", []string{">MODE B", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPMode},
		{"MODE Z, refused", []string{">MODE Z", "<504 no", ">RETR a", begins}, 0, known, 0},
		{"STRU R", []string{">STRU R", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPMode},
		{"SITE", []string{">SITE UMASK 022", "<200 ok", ">RETR a", begins}, 0, known, reason.FTPAccount},
		{"another host of the server's", []string{">HOST other", "<220 ok", ">RETR a", begins}, 0, known, reason.FTPAccount},
		{"something unknown", []string{">RANG 1 5", "<350 ok", ">SMNT x", "<250 ok", ">RETR a", begins}, 0, known, reason.FTPAccount},
		{"something unknown to the server as well", []string{">XYZ", "<500 no", ">RETR a", begins}, 0, known, 0},
		{"the length in ASCII", []string{">TYPE A", "<200 ok", ">SIZE b", "<213 7", ">TYPE I", "<200 ok", ">RETR b", begins}, 0, "-1 ", reason.FTPLength},
		{"a name without end", []string{">RETR " + strings.Repeat("a", maxLine), begins}, 0, "-1 ", reason.FTPDialogue},
		{"an account", []string{">ACCT me", "<230 ok", ">RETR a", begins}, 0, known, reason.FTPAccount},
		{"what is none of FTP's", []string{"<hello", ">RETR a", begins}, 0, known, reason.FTPDialogue},
		{"an answer to nothing", []string{"<226 done", ">RETR a", begins}, 0, known, reason.FTPDialogue},
	} {
		d := &Dialogue{}
		talk(d, beginning...)
		r := talk(d, one.lines...)
		if r == nil || !r.Begun || r.Over {
			t.Errorf("%s: %+v", one.name, r)
			continue
		}
		if got := fmt.Sprintf("%d %s", r.Size, r.Date); got != one.known || r.First != one.first || r.Why.Why != one.why {
			t.Errorf("%s: from %d, %q, %v", one.name, r.First, got, r.Why)
		}
		if talk(d, "<226 done"); !r.Over {
			t.Errorf("%s is not over", one.name)
		}
	}
}

func TestWhatIsSaidAgain(t *testing.T) {
	d := &Dialogue{}
	talk(d, beginning...)
	r := talk(d, ">OPTS UTF8 ON", "<200 ok", ">CWD deeper", "<250 ok", ">CWD nowhere", "<550 no", ">CDUP", "<250 ok", ">SIZE a", "<213 5", ">RETR a", "<150 ok")
	if got := strings.Join(r.setup, "|"); got != "CWD pub|OPTS UTF8 ON|CWD deeper|CDUP" || string(r.user) != "me" || string(r.pass) != "secret" || r.verb != "EPSV" {
		t.Errorf("%q, %q, %q, %q", got, r.user, r.pass, r.verb)
	}
	if f := r.File(); f.Path != "pub/a" {
		t.Errorf("%+v", f)
	}
	if all, answered, why := d.Standing(r); len(all) != 0 || answered || !why.None() {
		t.Errorf("%q, %v, %v", all, answered, why)
	}
	talk(d, ">NOOP")
	if all, answered, why := d.Standing(r); len(all) != 1 || string(all[0]) != "NOOP" || answered || !why.None() {
		t.Errorf("%q, %v, %v", all, answered, why)
	}
	talk(d, ">\xff\xf4\xff\xf2ABOR")
	if _, _, why := d.Standing(r); why.None() {
		t.Error("a transfer that is given up would be continued")
	}
	talk(d, "<426 closed", "<200 ok", "<226 given up", ">CWD /other", "<250 ok", ">SIZE /c d", "<213 6", ">RETR /c d", "<150 ok")
	if r = d.Transfer(); strings.Join(r.setup, "|") != "OPTS UTF8 ON|CWD /other" || r.Size != 6 || r.File().Path != "c%20d" {
		t.Errorf("%q, %+v", r.setup, r.File())
	}
	talk(d, "<226 done", ">REIN", "<220 ok", ">USER other", "<230 in", ">TYPE I", "<200 ok", ">PASV", "<227 (1,2,3,4,5,6)", ">RETR a", "<150 a (3 bytes)")
	if r = d.Transfer(); len(r.setup) > 0 || r.hasPass || r.verb != "PASV" || !r.Why.None() {
		t.Errorf("%+v", r)
	}
}

// What the program has read of the last word on a transfer whose octets it has still to read, and what it has said since, decides whether the
// dialogue can go on elsewhere.
func TestWhereTheDialogueStands(t *testing.T) {
	for _, one := range []struct {
		name     string
		lines    []string
		half     string // of a line, that has been read
		said     string // and that has been said
		answered bool
		why      reason.Code
	}{
		{name: "amid it"},
		{name: "its last word has been read", lines: []string{"<226 done"}, answered: true},
		{name: "all of its last words", lines: []string{"<226-done", "<226 really"}, answered: true},
		{name: "the first of them", lines: []string{"<226-done"}, why: reason.FTPBusy},
		{name: "half of its last word", half: "22", why: reason.FTPBusy},
		{name: "half a command", said: "NO", why: reason.FTPBusy},
		{name: "given up", lines: []string{"<426 no more"}, why: reason.ExchangeEnded},
		{name: "given up by the program", lines: []string{">ABOR", "<426 no more", "<226 so"}, why: reason.ExchangeEnded},
		{name: "another folder since", lines: []string{"<226 done", ">CWD ..", "<250 ok"}, why: reason.ExchangeEnded},
		{name: "a command since", lines: []string{"<226 done", ">NOOP"}, why: reason.ExchangeEnded},
		{name: "another file asked for", lines: []string{">RETR b"}, why: reason.ExchangeEnded},
	} {
		d := &Dialogue{}
		talk(d, beginning...)
		r := talk(d, ">RETR a", "<150 here it is")
		talk(d, one.lines...)
		d.Answer([]byte(one.half))
		d.Say([]byte(one.said))
		if all, answered, why := d.Standing(r); len(all) != 0 || answered != one.answered || why.Why != one.why {
			t.Errorf("%s: %q, %v, %v", one.name, all, answered, why)
		}
	}
}

// A server may answer as it likes: the same octets in any pieces come to the same, and what is kept is bounded.
func FuzzDialogue(f *testing.F) {
	f.Add([]byte(strings.Join(beginning, "\n")+"\n>RETR a\n<150 ok (4 bytes)\n<226-a\n<226 b\n"), uint8(3))
	f.Add([]byte("<220-"+strings.Repeat("long", 3000)+"\n<220 x\n>USER a\n<331\n"), uint8(200))
	f.Add([]byte(strings.Repeat("<230 ok\n", 300)), uint8(1))
	f.Add([]byte(strings.Repeat(">RETR a\n", 300)), uint8(1))
	f.Fuzz(func(t *testing.T, octets []byte, piece uint8) {
		whole, pieces := &Dialogue{}, &Dialogue{}
		for line := range bytes.Lines(octets) {
			for at := 1; at < len(line); at += int(piece) + 1 {
				part := bytes.Clone(line[at:min(len(line), at+int(piece)+1)])
				if line[0] == '>' {
					pieces.Say(part)
				} else {
					pieces.Answer(part)
				}
			}
			if line[0] == '>' {
				whole.Say(bytes.Clone(line[1:]))
			} else {
				whole.Answer(bytes.Clone(line[1:]))
			}
		}
		a, b := whole.Transfer(), pieces.Transfer()
		if (a == nil) != (b == nil) || a != nil && (a.Size != b.Size || a.First != b.First || a.Begun != b.Begun || a.Why != b.Why || a.File() != b.File()) {
			t.Errorf("%+v and %+v", a, b)
		}
		if len(whole.pending) > maxPending || len(whole.size) > maxFiles || len(whole.setup) > maxSetup+1 {
			t.Errorf("%d, %d and %d are kept", len(whole.pending), len(whole.size), len(whole.setup))
		}
	})
}
