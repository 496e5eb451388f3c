package matrix

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

// A program that has read a part of an interim response is moved, when it is asked for and when the connection dies, from every
// octet where that can be done: the new server sends the same one, or it can be ended without a word of Midstream's own.
func TestInterimResponsesContinueFromEveryOctet(t *testing.T) { both(t, testInterims) }

func testInterims(t *testing.T, over transport) {
	body := content(3000)
	l := lab.New(t)
	l.Configure("[failover]\npatience = \"1s\"\n")
	var cases []testCase
	other := strings.Replace(hints, "style", "other", 1)
	for name, interim := range map[string]string{"the same": hints, "none": "", "another": other, "two": hints + other} {
		for hold := range len(hints) + 1 {
			if (name == "another" || name == "two") && hold%3 != len(name)%3 {
				continue // they share the octets
			}
			for _, dies := range []bool{false, true} {
				if hold == 0 && !dies {
					continue // before its answer has begun, a request is not sent again
				}
				if dies != (hold%2 == 0) && name != "none" {
					continue // the two take turns
				}
				if _, ended := endOfHints(hold); !ended && dies && hold > len("HTTP/1.1 103") && name != "the same" && hold%4 != 0 {
					continue // these wait until Midstream gives up
				}
				cases = append(cases, testCase{fmt.Sprintf("%s/%d/%v", name, hold, dies), func(t *testing.T, s seat) {
					old := script{body: body, etag: strong, modified: modified, ranges: true, interim: hints, hold: hold, over: over}
					next := old
					args := append(over.client("curl", s.host, s.out), "-i")
					next.interim, next.hold = interim, -1
					final, _ := (&origin{script: next}).answer(getFile)
					// What the program is to see; nil if it cannot be moved.
					var want []byte
					end, ended := endOfHints(hold)
					switch {
					case hold == len(hints) && name == "another", hold == len(hints) && name == "none":
						want = append([]byte(hints), final[len(interim):]...)
					case bytes.HasPrefix(final, []byte(hints[:hold])):
						want = final
					case ended:
						want = append([]byte(hints[:hold]+end), final[len(interim):]...)
					}
					first, second := s.serve(t, 0, old), s.serve(t, 1, next)
					d := s.download(t, first, args)
					d.reads("the request", func(s lab.Session) bool { return s.State == "active" })
					if dies {
						first.stop()
					} else if want != nil {
						d.moveOrEnd(s.far())
					} else {
						moved, err := d.control.Migrate(s.far())
						if err != nil || len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "head is another one") {
							t.Errorf("%+v, %v; want a refusal", moved, err)
						}
						want, _ = first.answer(getFile)
						first.release()
					}
					if want == nil {
						d.endsAsNatively(s, old, args, d.out)
					} else {
						d.ends(want)
					}
					first.stop()
					second.stop()
				}})
			}
		}
	}
	runCases(t, l, cases)
}

// endOfHints is what ends the hints for a program that has read so many octets of them, if that can be told.
func endOfHints(read int) (string, bool) {
	line := strings.Index(hints, "\r\n")
	field := strings.Index(hints, "\r\n\r\n")
	code := len("HTTP/1.1 103")
	switch {
	case read == code-2:
		return "00 Continue\r\n\r\n", true
	case read == code-1:
		return "0 Continue\r\n\r\n", true
	case read == code:
		return " \r\n\r\n", true
	case read > code && read <= line:
		return "\r\n\r\n", true
	case read == line+1, read == field+1:
		return "\n\r\n", true
	case read == line+2, read == field+2:
		return "\r\n", true
	case read == field+3:
		return "\n", true
	}
	return "", false
}
