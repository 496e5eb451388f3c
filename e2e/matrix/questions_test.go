package matrix

import (
	"io"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// What a program may ask of the socket of a relayed download is answered as natively.
func TestARelayAnswersAsASocketDoes(t *testing.T) {
	body := content(600_000)
	l := lab.New(t)
	named(l)
	near, far := l.Networks()[0], l.Networks()[1]
	program := l.CC("questions")
	for _, way := range []string{"full", "urgent", "away", "fill"} {
		t.Run(way, func(t *testing.T) {
			var results []lab.Result
			for _, under := range []bool{false, true} {
				held := 400_000 // where the program finds that nothing comes
				if under {
					held = 200_000
				}
				first := serve(t, near, script{framing: "length", body: body, etag: strong, modified: modified, hold: held})
				second := serve(t, far, script{framing: "chunked", body: body, etag: strong, modified: modified, ranges: true, hold: 200_000, each: true})
				p := l.Command(program, near.Content(), way)
				if under {
					p = l.Midstream(program, near.Content(), way)
				}
				in, err := p.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				p.Start()
				says := func(line string) {
					t.Helper()
					l.Await(line, lab.Patience, func() bool {
						out, _ := p.Output()
						select {
						case <-p.Ended():
							t.Fatalf("it has ended: %s", out)
						default:
						}
						return strings.HasSuffix(out, line+"\n")
					})
				}
				says("ready")
				if under {
					d := &download{t: t, lab: l, program: p, control: l.Control(p.Pid(), lab.Patience)}
					d.reads("what it has read", func(s lab.Session) bool { return s.Received == 100_000 })
					if m := d.move(far.Name); m.Delivery != "relayed" {
						t.Errorf("it was delivered %s", m.Delivery)
					}
				}
				io.WriteString(in, "\n")
				if way != "away" {
					says("held")
					first.release()
					second.release()
					io.WriteString(in, "\n")
				}
				results = append(results, p.Wait())
				first.stop()
				second.stop()
			}
			results[0].Args, results[1].Args = []string{"questions"}, []string{"questions"}
			lab.Compare(t, results[0], results[1])
			if results[0].Status != 0 || strings.Count(results[0].Stdout, "\n") < 9 {
				t.Errorf("natively: %v", results[0])
			}
		})
	}
}
