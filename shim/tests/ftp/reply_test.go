// Package ftp tests that the shim (C) and the core (Go) find the same data connection in what an FTP server answers.
package ftp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"midstream/core/ftp"
)

var (
	in  io.Writer
	out *bufio.Reader
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "ftp")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "reply")
	build := exec.Command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-I../..", "-o", program, "reply/reply.c", "../../ftp/reply.c")
	if text, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("compile reply/reply.c: %v\n%s", err, text))
	}
	helper := exec.Command(program)
	helper.Stderr = os.Stderr
	pipe, err := helper.StdinPipe()
	if err != nil {
		panic(err)
	}
	read, err := helper.StdoutPipe()
	if err != nil {
		panic(err)
	}
	in, out = pipe, bufio.NewReader(read)
	if err := helper.Start(); err != nil {
		panic(err)
	}
	code := m.Run()
	pipe.Close()
	if err := helper.Wait(); err != nil && code == 0 {
		code = 1
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

// core is what the core finds in the line.
func core(line string) string {
	if line[2] == '7' {
		if at, _, _, ok := ftp.Passive(line[4:]); ok {
			four := at.Addr().As4()
			return fmt.Sprintf("%d %d\n", binary.BigEndian.Uint32(four[:]), at.Port())
		}
	} else if port, ok := ftp.ExtendedPassive(line[4:]); ok {
		return fmt.Sprintf("0 %d\n", port)
	}
	return "no\n"
}

func shim(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// lines are replies, and what is found in them.
var lines = map[string]string{
	"227 Entering Passive Mode (10,77,1,80,4,1).":      "172818768 1025\n",
	"227 Entering Passive Mode 10,77,1,80,255,255":     "172818768 65535\n",
	"227 =10,77,1,80,0,21":                             "172818768 21\n",
	"227 (10,77,1,80,0,0)":                             "no\n",
	"227 (256,77,1,80,4,1)":                            "no\n",
	"227 4 servers (10,77,1,80,4,1)":                   "172818768 1025\n",
	"227 (4294967306,77,1,80,4,1)":                     "no\n",
	"227 1,2,3,4,5":                                    "no\n",
	"227 (99999999999999999999,1,1,1,1,1,1)":           "16843009 257\n",
	"229 Entering Extended Passive Mode (|||40000|)":   "0 40000\n",
	"229 Entering Extended Passive Mode (!!!1!)":       "0 1\n",
	"229 (|||65536|)":                                  "no\n",
	"229 (|||0|)":                                      "no\n",
	"229 (||40000|)":                                   "no\n",
	"229 (|||40000":                                    "no\n",
	"229 (":                                            "no\n",
	"229 (|||99999999999999999999999999999999999999|)": "no\n",
	"229 ": "no\n",
	"227 ": "no\n",
}

func TestBothFindTheSame(t *testing.T) {
	for line, want := range lines {
		if ours, theirs := core(line), shim(t, line); ours != want || theirs != want {
			t.Errorf("%q: the core finds %q, the shim %q, and not %q", line, ours, theirs, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for line := range lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) < 4 || len(line) > 500 || line[:4] != "227 " && line[:4] != "229 " || strings.ContainsAny(line, "\n\x00") {
			return
		}
		if ours, theirs := core(line), shim(t, line); ours != theirs {
			t.Errorf("%q: the core finds %q, the shim %q", line, ours, theirs)
		}
	})
}
