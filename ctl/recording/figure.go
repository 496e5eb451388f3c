// A picture of a record.
package recording

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"midstream/core/control"
	"midstream/core/display"
)

// Draw makes a picture of the record in the file from, in the file to: .svg or .png. title stands above it, unless it is "", instead of
// what was downloaded.
func Draw(from, to, title string, dark bool) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	_, entries, err := Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	f := newFigure(entries)
	if len(f.times) == 0 {
		return fmt.Errorf("%s: nothing was downloaded while it was recorded", from)
	}
	if title != "" {
		f.title = title
	}
	var c canvas = newVector(figureWidth, figureHeight)
	if filepath.Ext(to) == ".png" {
		if c, err = newRaster(figureWidth, figureHeight); err != nil {
			return err
		}
	}
	theme := light
	if dark {
		theme = night
	}
	f.draw(c, theme)
	data, err := c.bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// figure is what is drawn.
type figure struct {
	title    string
	networks []string
	times    []float64            // of samples, seconds
	totals   map[string][]float64 // octets by network at those times
	runs     []*course
	marks    []mark
}

// course is a download's course.
type course struct {
	id, name string
	length   int64
	at       []float64
	received []float64
	over     []string
}

// mark is an event that is shown.
type mark struct {
	at    float64
	stall float64 // seconds before it in which nothing came
	text  string
	bad   bool

	session, cause string // of a failure
}

// Samples that are closer than this, and those after that time, are left out, in seconds: what record writes has none, and neither rates nor
// axes are to become infinite.
const (
	closest = 0.001
	latest  = 1e9
)

func newFigure(entries []Entry) *figure {
	f := &figure{totals: map[string][]float64{}}
	byID := map[string]*course{}
	last := map[string]map[string]int64{}
	for _, e := range entries {
		switch {
		case e.Event != nil:
			f.mark(e)
		case len(e.Sample) > 0 && e.At >= 0 && e.At < latest:
			if n := len(f.times); n > 0 && e.At < f.times[n-1]+closest {
				continue
			}
			for _, s := range e.Sample {
				r := byID[s.ID]
				if r == nil || r.name != s.Name {
					r = &course{id: s.ID, name: s.Name}
					byID[s.ID] = r
					f.runs = append(f.runs, r)
				}
				if s.Length != nil {
					r.length = *s.Length
				}
				r.at, r.received, r.over = append(r.at, e.At), append(r.received, float64(s.Received)), append(r.over, s.Over)
				for network := range s.Parts {
					if !slices.Contains(f.networks, network) {
						f.networks = append(f.networks, network)
						f.totals[network] = make([]float64, len(f.times))
					}
				}
				last[s.ID] = s.Parts
			}
			f.times = append(f.times, e.At)
			for _, network := range f.networks {
				sum := int64(0)
				for id := range last {
					sum += last[id][network]
				}
				f.totals[network] = append(f.totals[network], float64(sum))
			}
		}
	}
	var names []string
	for _, r := range f.runs {
		if !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	f.title = display.Shorten(strings.Join(names, ", "), 60)
	return f
}

// mark takes an event that is worth being shown.
func (f *figure) mark(e Entry) {
	m := mark{at: e.At, text: display.Line(e.Event.Text), session: e.Event.Session}
	switch e.Event.Kind {
	case control.EventMigration:
		if fields, ok := e.Event.Fields["migration"].(map[string]any); ok {
			ms, _ := fields["stall_ms"].(float64)
			m.stall = ms / 1000
			from, _ := fields["from"].(map[string]any)
			to, _ := fields["to"].(map[string]any)
			m.text = fmt.Sprintf("%v → %v", from["interface"], to["interface"])
			if ms > 0 {
				m.text += fmt.Sprintf(", %.1f ms", ms)
			}
			m.text = display.Line(m.text)
			// What it has recovered from is the same event for who looks at the picture.
			trigger, _ := fields["trigger"].(string)
			if n := len(f.marks); trigger != "" && n > 0 && f.marks[n-1].session == m.session && f.marks[n-1].cause == trigger {
				m.text += " (" + f.marks[n-1].text + ")"
				f.marks = f.marks[:n-1]
			}
		}
	case control.EventFailure, control.EventHeld, control.EventRefused:
		m.bad = true
		m.cause, _ = e.Event.Fields["cause"].(string)
		m.text = display.Shorten(m.text, 40)
	default:
		return
	}
	f.marks = append(f.marks, m)
}

// theme is the colours of a figure.
type theme struct {
	ground, ink, faint, bad color.RGBA
	networks                []color.RGBA
}

func rgb(n uint32) color.RGBA { return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255} }

var (
	light = theme{rgb(0xffffff), rgb(0x1f2933), rgb(0xd5dae1), rgb(0xb91c1c), []color.RGBA{rgb(0x0e7490), rgb(0xc2410c), rgb(0x6d28d9), rgb(0x15803d), rgb(0xa16207)}}
	night = theme{rgb(0x14181d), rgb(0xe6e9ed), rgb(0x3a424c), rgb(0xf87171), []color.RGBA{rgb(0x22b8cf), rgb(0xfb923c), rgb(0xa78bfa), rgb(0x4ade80), rgb(0xfacc15)}}
)

// The figure's measures, in pixels.
const (
	figureWidth, figureHeight = 900, 520
	left, right               = 78.0, 20.0
	top1, bottom1             = 92.0, 268.0 // of the rates
	top2, bottom2             = 304.0, 476.0
)

func (f *figure) colour(t theme, network string) color.RGBA {
	i := slices.Index(f.networks, network)
	return t.networks[max(i, 0)%len(t.networks)]
}

func (f *figure) draw(c canvas, t theme) {
	c.polygon([]point{{0, 0}, {figureWidth, 0}, {figureWidth, figureHeight}, {0, figureHeight}}, t.ground)
	begin, end := f.times[0], f.times[len(f.times)-1]
	if end-begin < 0.5 {
		end = begin + 0.5
	}
	x := func(at float64) float64 { return left + (at-begin)/(end-begin)*(figureWidth-left-right) }
	c.text(left, 26, start, 16, t.ink, f.title)
	f.legend(c, t)
	rates, most := f.rates()
	f.axes(c, t, "rate", most*8, func(n float64) string { return unit(n, []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s"}) }, top1, bottom1, begin, end, x, false)
	f.stalls(c, t, x, begin, end)
	below := make([]float64, len(f.times))
	for i, network := range f.networks {
		var area []point
		for n, at := range f.times {
			area = append(area, point{x(at), bottom1 - (below[n]+rates[i][n])/most*(bottom1-top1)})
		}
		for n := len(f.times) - 1; n >= 0; n-- {
			area = append(area, point{x(f.times[n]), bottom1 - below[n]/most*(bottom1-top1)})
		}
		for n := range below {
			below[n] += rates[i][n]
		}
		c.polygon(area, f.colour(t, network))
	}
	largest := 1.0
	for _, r := range f.runs {
		largest = max(largest, float64(r.length), slices.Max(r.received))
	}
	f.axes(c, t, "received", largest, func(n float64) string { return unit(n, []string{"B", "kB", "MB", "GB", "TB"}) }, top2, bottom2, begin, end, x, true)
	y := func(n float64) float64 { return bottom2 - n/largest*(bottom2-top2) }
	for _, r := range f.runs {
		if r.length > 0 {
			c.line([]point{{x(r.at[0]), y(float64(r.length))}, {x(end), y(float64(r.length))}}, t.faint, 1, true)
		}
		for n := 1; n < len(r.at); n++ {
			if r.received[n] >= r.received[n-1] {
				c.line([]point{{x(r.at[n-1]), y(r.received[n-1])}, {x(r.at[n]), y(r.received[n])}}, f.colour(t, r.over[n]), 2.5, false)
			}
		}
	}
	f.marked(c, t, x, begin, end)
}

// rates are octets a second by network, over half a second or so; most is the largest sum, with some room.
func (f *figure) rates() (all [][]float64, most float64) {
	const span = 0.15 // seconds to each side
	sum := make([]float64, len(f.times))
	for _, network := range f.networks {
		total := f.totals[network]
		rates := make([]float64, len(f.times))
		a, b := 0, 0
		for n, at := range f.times {
			for f.times[a] < at-span {
				a++
			}
			for b+1 < len(f.times) && f.times[b+1] <= at+span {
				b++
			}
			if d := f.times[b] - f.times[a]; d > 0 {
				rates[n] = max(0, (total[b]-total[a])/d)
			}
			sum[n] += rates[n]
		}
		all = append(all, rates)
	}
	return all, max(1, slices.Max(sum)*1.08)
}

// legend names the networks, with what came over each.
func (f *figure) legend(c canvas, t theme) {
	all := 0.0
	for _, network := range f.networks {
		all += f.totals[network][len(f.times)-1]
	}
	x := left
	for _, network := range f.networks {
		n := f.totals[network][len(f.times)-1]
		text := fmt.Sprintf("%s  %s (%.0f %%)", display.Line(network), display.Size(int64(n)), 100*n/max(all, 1))
		c.polygon([]point{{x, 38}, {x + 12, 38}, {x + 12, 50}, {x, 50}}, f.colour(t, network))
		c.text(x+18, 49, start, 12, t.ink, text)
		x += 40 + 7*float64(len([]rune(text)))
	}
}

// axes draws lines at round numbers.
func (f *figure) axes(c canvas, t theme, what string, most float64, write func(float64) string, top, bottom, begin, end float64, x func(float64) float64, times bool) {
	step := round(most / 5)
	for n := 0.0; n <= most; n += step {
		y := bottom - n/most*(bottom-top)
		c.line([]point{{left, y}, {figureWidth - right, y}}, t.faint, 1, false)
		c.text(left-8, y+4, ending, 11, t.ink, write(n))
	}
	c.text(left-8, top-14, ending, 11, t.ink, what)
	step = round((end - begin) / 8)
	for n := 0.0; n <= end-begin; n += step {
		c.line([]point{{x(begin + n), bottom}, {x(begin + n), bottom + 4}}, t.ink, 1, false)
		if times {
			c.text(x(begin+n), bottom+18, middle, 11, t.ink, strconv.FormatFloat(n, 'f', -1, 64)+" s")
		}
	}
	c.line([]point{{left, bottom}, {figureWidth - right, bottom}}, t.ink, 1, false)
}

// round is the next of 1, 2 and 5 times a power of ten.
func round(n float64) float64 {
	if n <= 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(n)))
	for _, m := range []float64{1, 2, 5} {
		if n <= m*power*1.0001 {
			return m * power
		}
	}
	return 10 * power
}

func unit(n float64, units []string) string {
	i := 0
	for n >= 1000 && i < len(units)-1 {
		n /= 1000
		i++
	}
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64) + " " + units[i]
}

// stalls shades the times in which nothing came around a migration.
func (f *figure) stalls(c canvas, t theme, x func(float64) float64, begin, end float64) {
	for _, m := range f.marks {
		if m.stall < 0.001 || m.at < begin || m.at > end {
			continue
		}
		from, to := x(max(m.at-m.stall, begin)), x(m.at)
		to = max(to, from+1)
		for _, p := range [][2]float64{{top1, bottom1}, {top2, bottom2}} {
			c.polygon([]point{{from, p[0]}, {to, p[0]}, {to, p[1]}, {from, p[1]}}, t.faint)
		}
	}
}

// marked draws the events, with their texts in as many lines as there is room for.
func (f *figure) marked(c canvas, t theme, x func(float64) float64, begin, end float64) {
	var ends [2]float64 // where the last text of each line ends
	for _, m := range f.marks {
		if m.at < begin || m.at > end {
			continue
		}
		ink := t.ink
		if m.bad {
			ink = t.bad
		}
		at := x(m.at)
		c.line([]point{{at, top1 - 6}, {at, bottom1}}, ink, 1, true)
		c.line([]point{{at, top2}, {at, bottom2}}, ink, 1, true)
		width := 6.2 * float64(len([]rune(m.text)))
		from := min(at-4, figureWidth-right-width)
		for row := range ends {
			if from > ends[row]+6 {
				c.text(from, top1-10-float64(row)*14, start, 11, ink, m.text)
				ends[row] = from + width
				break
			}
		}
	}
}
