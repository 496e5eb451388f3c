package transparency

import (
	"fmt"
	"testing"
	"time"
)

// A process whose first exchange is soon over pays for no runtime meanwhile, nor does one that forks; one that stays gets it.
func TestTheCoreComesAMomentAfterTheFirstRequest(t *testing.T) {
	address, port := startServer(t)
	const client = `
import http.client, os, sys, time
def core(): return "libmidstream-core" in open("/proc/self/maps").read()
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
begun = time.monotonic()
c.request("GET", "/fixed/1000"); c.getresponse().read()
child = os.fork()
if not child: os._exit(0)
os.waitpid(child, 0)
there, took = core(), time.monotonic() - begun
while not core() and time.monotonic() - begun < 10: time.sleep(0.01)
print(there, int(took * 1000), core())
`
	for range 20 {
		r := run(t, preloaded(t), "python3", "-c", client, address, port)
		var there, later string
		var took int
		if _, err := fmt.Sscan(r.stdout, &there, &took, &later); err != nil {
			t.Fatalf("%+v", r)
		}
		if later != "True" {
			t.Fatal("the core has not come in ten seconds")
		}
		if time.Duration(took)*time.Millisecond < 80*time.Millisecond { // else the machine is too busy to tell
			if there != "False" {
				t.Errorf("the core was there after %d ms", took)
			}
			return
		}
	}
	t.Skip("no exchange of this machine's was over in 80 ms")
}
