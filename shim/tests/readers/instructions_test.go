package readers

import (
	"encoding/hex"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A line of objdump's: the address, the octets, and what they mean.
var line = regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t(.*)$`)

// Whatever the shim takes for an instruction that may stand elsewhere has the length that objdump gives it, and neither leads
// anywhere nor refers to where it stands.
func TestInstructions(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the shim knows the instructions of x86-64")
	}
	library, err := exec.Command("sh", "-c", `ldd "$(command -v curl)" | sed -n 's/.*=> \(.*libssl[^ ]*\).*/\1/p'`).Output()
	if err != nil || len(library) == 0 {
		t.Fatalf("where is libssl? %v", err)
	}
	text, err := exec.Command("objdump", "-d", "-w", strings.TrimSpace(string(library))).Output()
	if err != nil {
		t.Fatal(err)
	}
	list := line.FindAllStringSubmatch(string(text), -1)
	known := 0
	for len(list) > 0 {
		part := list[:min(len(list), 4000)]
		list = list[len(part):]
		var windows []byte
		for _, l := range part {
			octets, err := hex.DecodeString(strings.ReplaceAll(l[1], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			windows = append(windows, append(octets, make([]byte, 16)...)[:16]...)
		}
		for i, answer := range strings.Fields(once(t, instruction, 0, "", windows)) {
			size, _ := strconv.Atoi(answer)
			if size == 0 {
				continue
			}
			known++
			if octets, meaning := part[i][1], part[i][2]; size != len(octets)/3 {
				t.Fatalf("%s(%s) has %d octets, not %d", octets, meaning, len(octets)/3, size)
			} else if strings.Contains(meaning, "(%rip)") || regexp.MustCompile(`^(bnd )?(j|call|ret|loop|syscall)`).MatchString(meaning) {
				t.Fatalf("%s(%s) is not the same elsewhere", octets, meaning)
			}
		}
	}
	if known < 10000 {
		t.Errorf("only %d instructions were known", known)
	}
}
