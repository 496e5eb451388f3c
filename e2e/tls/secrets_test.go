package tls

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const withSecrets = `
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
c = http.client.HTTPSConnection(sys.argv[2], context=context)
cookie, token = sys.stdin.readline().split()
c.request("GET", "/film.bin", headers={"Cookie": "id=" + cookie, "Authorization": "Bearer " + token})
answer = c.getresponse()
with open(sys.argv[3], "wb") as out:
    while piece := answer.read(50000):
        out.write(piece)
        out.flush()
print("all is here", flush=True)
sys.stdin.readline()
`

// Between these addresses lie the heaps of Go, and on x86-64 nothing else that has no name.
const lowest, highest = 1 << 36, 0x5500_0000_0000

// found returns where a text lies in the memory that the core has for itself.
func found(t *testing.T, pid int, text string) (places []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	looked := int64(0)
	for _, line := range strings.Split(string(maps), "\n") {
		var from, to int64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 || rights != "rw-p" || len(strings.Fields(line)) != 5 || from < lowest || from > highest {
			continue
		}
		octets := make([]byte, to-from)
		if n, _ := memory.ReadAt(octets, from); n > 0 {
			looked += int64(n)
			for at := 0; ; {
				i := bytes.Index(octets[at:n], []byte(text))
				if i < 0 {
					break
				}
				at += i + len(text)
				places = append(places, fmt.Sprintf("%q in %s", octets[max(0, at-len(text)-30):min(n, at+10)], line))
			}
		}
	}
	if looked < 1<<20 {
		t.Fatalf("only %d octets of the core's memory were found in\n%s", looked, maps)
	}
	return places
}

// What authenticates the program is not kept by the core when the exchange is over, whether it has moved or not.
func TestSecretsAreForgotten(t *testing.T) {
	const cookie, token = "pl4ntedc00kie", "pl4ntedt0ken"
	for _, moves := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d moves", moves), func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate *= 2
			id := identity{extra: `if ($http_cookie != "id=` + cookie + `") { return 403; } if ($http_authorization != "Bearer ` + token + `") { return 403; }`}
			s.serve(map[string]identity{"wlan0": id, "wwan0": id})
			out := s.out("out")
			p := s.Midstream("/usr/bin/python3", "-c", withSecrets, s.ca.certificate, host, out)
			in, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			fmt.Fprintf(in, "%s %s\n", cookie, token)
			for i := range moves {
				s.reached(p, out, size/4*int64(i+1))
				s.known(p)
				for _, m := range s.migrate(networks[(i+1)%2]) {
					if !m.OK {
						t.Errorf("%+v", m)
					}
				}
			}
			s.Await("the end of the download", lab.Patience, func() bool {
				stdout, _ := p.Output()
				return strings.Contains(stdout, "all is here")
			})
			s.known(p)
			list := s.Ctl("sessions", "--json").Run().Stdout
			log, _ := os.ReadFile(s.LogFile())
			for _, secret := range []string{cookie, token} {
				if strings.Contains(list+string(log), secret) {
					t.Errorf("%q is in a list or in the log", secret)
				}
				for _, place := range found(t, p.Pid(), secret) {
					t.Errorf("%s", place)
				}
			}
			in.Close()
			if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact("python", out)
		})
	}
}
