// Bench measures what Midstream costs and gains: each figure as the ratio to, or the difference from, the same program
// without Midstream, the two by turns in the same run. It prints medians with the lowest and the highest, and the
// bound that each has to keep.
//
// It needs root or user namespaces, to be run from within the project's folder, and a machine that does nothing else:
//
//	go run ./e2e/bench [-only NAME] [-runs FACTOR]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"midstream/e2e/lab"
)

var (
	only   = flag.String("only", "", "only the measurements whose name holds this")
	factor = flag.Float64("runs", 1, "how many more runs than usual")
)

// bench is what the measurements share.
type bench struct {
	*lab.Stage
	folder string // on disk
	above  int    // bounds that were not kept
}

var measurements = []struct {
	name string
	run  func(*bench)
}{
	{"start", starts},
	{"memory", memory},
	{"bulk", bulk},
	{"tls-bulk", bulkTLS},
	{"first", firstGet},
	{"small", small},
	{"idle", stillness},
	{"migration", migrations},
	{"tls-migration", migrationsTLS},
	{"single", breakBeforeMake},
	{"streams", streams},
	{"chunks", chunks},
	{"relay", relayed},
	{"relay memory", relayMemory},
	{"supervisor", supervised},
	{"aggregate", aggregated},
	{"joined", joined},
}

func main() {
	lab.Enter()
	flag.Parse()
	b := &bench{Stage: &lab.Stage{}}
	lab.Build(b, "midstream")
	folder, err := os.MkdirTemp("", "midstream-bench-")
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	b.folder = folder
	fmt.Printf("%d processors (%s); median, and the lowest and highest in brackets\n\n", runtime.NumCPU(), model())
	fmt.Printf("%-52s %-28s %-10s\n", "what", "measured", "bound")
	for _, m := range measurements {
		if !strings.Contains(m.name, *only) {
			continue
		}
		m.run(b)
		b.Clear()
	}
	os.RemoveAll(folder)
	if b.above > 0 {
		fmt.Printf("\n%d bounds were not kept\n", b.above)
	}
}

// model is the processor's name.
func model() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if name, found := strings.CutPrefix(line, "model name"); found {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return "unknown"
}

// runs is how many runs are made where so many are usual.
func runs(usual int) int { return max(int(float64(usual)**factor), 3) }

// library is the path of the preloaded library.
func (b *bench) library() string { return lab.Build(b, "libmidstream.so") }

// sample is a series of measured values.
type sample []float64

func (s sample) sorted() sample {
	c := append(sample(nil), s...)
	sort.Float64s(c)
	return c
}

func (s sample) median() float64 {
	c := s.sorted()
	if len(c) == 0 {
		return 0
	}
	return (c[(len(c)-1)/2] + c[len(c)/2]) / 2
}

// percentile is the least value that is not less than p of a hundred.
func (s sample) percentile(p int) float64 {
	c := s.sorted()
	if len(c) == 0 {
		return 0
	}
	return c[max(0, (len(c)*p+99)/100-1)]
}

// fastest is the mean of the lowest quarter.
func (s sample) fastest() float64 {
	c := s.sorted()
	c = c[:(len(c)+3)/4]
	sum := 0.0
	for _, v := range c {
		sum += v
	}
	return sum / float64(len(c))
}

// ratios are those of the pairs.
func ratios(under, native sample) sample {
	r := make(sample, len(under))
	for i := range under {
		r[i] = under[i] / native[i]
	}
	return r
}

func (s sample) text(format string) string {
	c := s.sorted()
	return fmt.Sprintf(format+" ["+format+" – "+format+"]", s.median(), c[0], c[len(c)-1])
}

// report prints a row. bound <= 0 means none; allowance is added to the bound of a difference.
func (b *bench) report(what string, s sample, format string, bound float64) {
	b.reportMedian(what, s.median(), s.text(format), format, bound)
}

func (b *bench) reportMedian(what string, value float64, text, format string, bound float64) {
	verdict := ""
	if bound > 0 {
		verdict = fmt.Sprintf("≤ "+format, bound)
		if value > bound {
			verdict += "  ABOVE"
			b.above++
		}
	}
	fmt.Printf("%-52s %-28s %-10s\n", what, text, verdict)
}

// reportLeast is reportMedian for what must not be less.
func (b *bench) reportLeast(what string, value float64, text string, bound float64) {
	verdict := fmt.Sprintf("≥ %.2f", bound)
	if value < bound {
		verdict += "  BELOW"
		b.above++
	}
	fmt.Printf("%-52s %-28s %-10s\n", what, text, verdict)
}

// note prints a row that explains the one before.
func (b *bench) note(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

// path is a file in the folder.
func (b *bench) path(name string) string { return filepath.Join(b.folder, name) }
