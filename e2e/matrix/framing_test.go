package matrix

import (
	"testing"

	"midstream/e2e/lab"
)

// Old responses in every framing continue as new ones in every framing.
func TestEveryFramingContinuesAsEveryOther(t *testing.T) { both(t, testEveryFraming) }

func testEveryFraming(t *testing.T, over transport) {
	body := content(300_000)
	olds := map[string]script{
		"length":    {framing: "length"},
		"chunked":   {framing: "chunked"},
		"decorated": {framing: "chunked", decorate: true, chunk: 1000},
		"one chunk": {framing: "chunked", chunk: 1 << 20},
		"close":     {framing: "close"},
		"http10":    {framing: "http10"},
	}
	news := map[string]script{
		"206 length":  {framing: "length", ranges: true},
		"206 chunked": {framing: "chunked", ranges: true, chunk: 5000, decorate: true},
		"206 close":   {framing: "close", ranges: true},
		"200 length":  {framing: "length"},
		"200 chunked": {framing: "chunked"},
		"200 close":   {framing: "close"},
		"200 http10":  {framing: "http10"},
		"206 final":   {framing: "length", ranges: true, final: true},
	}
	l := lab.New(t)
	var cases []testCase
	for oldName, old := range olds {
		for newName, next := range news {
			cases = append(cases, testCase{oldName + " to " + newName, func(t *testing.T, s seat) {
				old, next := old, next
				old.body, old.etag, old.modified, old.hold, old.over = body, strong, modified, 150_000, over
				next.body, next.etag, next.modified, next.hold, next.over = body, strong, modified, 290_000, over
				if next.ranges {
					next.hold = 30_000
				}
				first, second := s.serve(t, 0, old), s.serve(t, 1, next)
				d := start(t, l, over.at(s.host).curl()...)
				first.awaits(t, d.program)
				d.reads("half of the file", func(s lab.Session) bool { return s.Received > 100_000 })
				d.moveOrEnd(s.far())
				second.release() // not before: the program would be gone before it has answered
				d.ends(body)
				first.stop()
				second.stop()
			}})
		}
	}
	runCases(t, l, cases)
}
