package matrix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const trailer = "Digest: none\r\nOther: 1\r\n"

// A program that has read a part of a trailer section is moved, when it is asked for and when the connection dies, from every octet
// where that can be done: the new server sends the same trailer section, or the program stands between two fields. Inside a field
// that nobody sends again, a migration is refused, and a connection that dies is an error, as natively.
func TestTrailersContinueFromEveryOctet(t *testing.T) { both(t, testTrailers) }

func testTrailers(t *testing.T, over transport) {
	body := content(3000)
	l := lab.New(t)
	l.Configure("[failover]\npatience = \"1s\"\n")
	last := "0\r\n"
	var cases []testCase
	for name, next := range map[string]script{
		"the same":                    {framing: "chunked", trailer: trailer, ranges: true},
		"the same, ranges ignored":    {framing: "chunked", trailer: trailer, chunk: 70},
		"another":                     {framing: "chunked", trailer: strings.Replace(trailer, "none", "other", 1), ranges: true},
		"another beginning":           {framing: "chunked", trailer: "Order: 1\r\n", ranges: true},
		"none":                        {framing: "chunked", ranges: true},
		"none, with a Content-Length": {framing: "length", ranges: true},
		"none, to the end":            {framing: "close", ranges: true},
	} {
		old := script{framing: "chunked", trailer: trailer, body: body, etag: strong, modified: modified, ranges: true, over: over}
		end := old.wireLength()
		start := end - len(trailer) - 2
		for hold := start - len(last); hold < end; hold++ {
			for _, dies := range []bool{false, true} {
				if dies != ((hold+len(name))%2 == 0) && name != "the same" {
					continue // the two take turns
				}
				read := ""
				if hold > start {
					read = (trailer + "\r\n")[:hold-start]
				}
				inside := read != "" && !strings.HasSuffix(read, "\n") && !strings.HasSuffix(read, "\r")
				same := next.framing == "chunked" && strings.HasPrefix(next.trailer+"\r\n", read)
				if dies && inside && !same && hold%4 != 0 {
					continue // these wait until Midstream gives up
				}
				cases = append(cases, testCase{fmt.Sprintf("%s/%q/%v", name, read, dies), func(t *testing.T, s seat) {
					old, next := old, next
					old.hold = hold
					next.over = over
					next.body, next.etag, next.modified, next.hold = body, strong, modified, -1
					heads := s.out + ".heads"
					args := append(over.client("curl", s.host, s.out), "-D", heads)
					first, second := s.serve(t, 0, old), s.serve(t, 1, next)
					d := s.download(t, first, args)
					d.reads("all of it", func(s lab.Session) bool { return s.Received == int64(len(body)) })
					wire, _ := first.answer(getFile)
					head := string(wire[:old.headLength()])
					switch {
					case dies:
						first.stop()
					case inside && !same:
						moved, err := d.control.Migrate(s.far())
						if err != nil || len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "trailer") {
							t.Errorf("%+v, %v; want a refusal", moved, err)
						}
						first.release()
					default:
						d.moveOrEnd(s.far())
					}
					if inside && !same && dies {
						d.endsAsNatively(s, old, args, s.out, heads)
						return
					}
					d.ends(body)
					// The fields that the program has been told of: all, or those that it had read before it was moved.
					told := ""
					switch {
					case inside && !same:
						told = trailer // by the old server, as it was not moved
					case same && (inside || !next.ranges):
						told = next.trailer
					case strings.HasPrefix(read, trailer):
						told = trailer
					case strings.Contains(read, "\r"):
						told = trailer[:strings.LastIndex(read, "\r")+2]
					}
					got, _ := os.ReadFile(heads)
					if string(got) != head+told {
						t.Errorf("it was told %q, want %q", strings.TrimPrefix(string(got), head), told)
					}
					os.Remove(heads)
					first.stop()
					second.stop()
				}})
			}
		}
	}
	runCases(t, l, cases)
}
