package matrix

import (
	"fmt"
	"testing"

	"midstream/e2e/lab"
)

// A chunked response continues from every one of its octets: in a size line, between CR and LF, in an extension, at
// the last chunk.
func TestChunksContinueFromEveryOctet(t *testing.T) { both(t, testEveryOctet) }

func testEveryOctet(t *testing.T, over transport) {
	body := content(40)
	l := lab.New(t)
	var cases []testCase
	for _, decorate := range []bool{false, true} {
		if over.secure && !decorate {
			continue
		}
		old := script{framing: "chunked", chunk: 17, decorate: decorate, body: body, etag: strong, modified: modified, over: over}
		end := old.wireLength()
		if decorate {
			end -= len("Digest: none\r\nOther: 1\r\n\r\n") // TestTrailersContinueFromEveryOctet
		}
		for hold := old.headLength(); hold < end; hold++ {
			for i, next := range []script{
				{framing: "length", ranges: true}, {framing: "chunked", chunk: 7}, {framing: "close", ranges: true},
			} {
				// The three take turns; structure comes again with each chunk, at an octet for another one.
				if i != hold%3 {
					continue
				}
				cases = append(cases, testCase{fmt.Sprintf("%v/%d/%d", decorate, hold, i), func(t *testing.T, s seat) {
					old, next := old, next
					old.hold = hold
					next.body, next.etag, next.modified, next.hold = body, strong, modified, next.headLength()-10
					next.over = over
					first, second := s.serve(t, 0, old), s.serve(t, 1, next)
					d := start(t, l, over.at(s.host).curl()...)
					first.awaits(t, d.program)
					d.reads("the head", func(s lab.Session) bool { return s.State == "active" })
					go func() {
						<-second.held
						second.release()
					}()
					d.moveOrEnd(s.far())
					d.ends(body)
					first.stop()
					second.stop()
				}})
			}
		}
	}
	runCases(t, l, cases)
}
