// How top is drawn: into cells, by what each terminal can show.
package top

import (
	"fmt"
	"strings"

	"github.com/gdamore/tcell/v2"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
)

// look is what a terminal can show.
type look struct {
	colours bool
	blocks  []rune // from empty to full
	fills   []rune // of bars, by network
	empty   rune
	mark    rune // where a download has changed network
}

var (
	wide   = look{colours: true, blocks: []rune(" ▁▂▃▄▅▆▇█"), fills: []rune("█▓▒░"), empty: '·', mark: '│'}
	narrow = look{blocks: []rune(" .:-=+*%#"), fills: []rune("#=+o"), empty: '.', mark: '|'}
)

func lookOf(s tcell.Screen) look {
	l := wide
	if !s.CanDisplay('▅', false) { // of '█' terminals have one of their own, whatever they write
		l = narrow
	}
	l.colours = s.Colors() >= 8 && !isDumb()
	return l
}

// palette are colours of the terminal's own that show on light and dark ones.
var palette = []tcell.Color{tcell.ColorTeal, tcell.ColorPurple, tcell.ColorGreen, tcell.ColorMaroon, tcell.ColorOlive}

// brush draws on one screen.
type brush struct {
	tcell.Screen
	look
	width, height int
}

func (b *brush) text(x, y int, style tcell.Style, text string) int {
	for _, r := range text {
		if plain, has := plainly[r]; has && b.empty == narrow.empty {
			r = plain
		}
		if x >= b.width {
			break
		}
		if x >= 0 && y >= 0 && y < b.height {
			b.SetContent(x, y, r, nil, style)
		}
		x++
	}
	return x
}

// plainly is what stands for a character of texts on terminals without it.
var plainly = map[rune]rune{'…': '~', '×': 'x'}

// cut leaves of a sentence what there is room for.
func cut(text string, room int) string {
	if all := []rune(text); len(all) > room && room > 0 {
		return string(all[:room-1]) + "…"
	}
	return text
}

// first is the first of the texts that there is room for, else the last.
func first(room int, texts ...string) string {
	for _, text := range texts[:len(texts)-1] {
		if len([]rune(text)) <= room {
			return text
		}
	}
	return texts[len(texts)-1]
}

// right ends a text at the right edge.
func (b *brush) right(y int, style tcell.Style, text string) {
	b.text(b.width-len([]rune(text)), y, style, text)
}

// of is a network's style and fill.
func (b *brush) of(p *picture, name string) (tcell.Style, rune) {
	for i, n := range p.shown() {
		if n.name == name {
			style := tcell.StyleDefault
			if b.colours {
				style = style.Foreground(palette[i%len(palette)])
			}
			return style, b.fills[i%len(b.fills)]
		}
	}
	return tcell.StyleDefault, b.fills[0]
}

const labelWidth = 14

// draw shows the picture on whatever room there is.
func (p *picture) draw(s tcell.Screen, l look) {
	s.Clear()
	b := &brush{Screen: s, look: l}
	b.width, b.height = s.Size()
	if b.width < 20 || b.height < 4 {
		b.text(0, 0, tcell.StyleDefault, "too small")
		return
	}
	bold := tcell.StyleDefault.Bold(true)
	total := 0.0
	for _, n := range p.networks {
		total += n.now()
	}
	what := fmt.Sprintf("%d downloads", len(p.sessions))
	if len(p.sessions) == 1 {
		what = "1 download"
	}
	what += "   " + display.Size(int64(total)) + "/s"
	stall := ""
	if ms := p.longestStall(); ms > 0 {
		stall = fmt.Sprintf("   longest stall %.1f ms", ms)
	}
	room := max(b.width-10, 10)
	b.text(0, 0, bold, cut(first(room, "midstream   "+what+stall, what+stall, what), room))
	b.right(0, tcell.StyleDefault, p.now.Format("15:04:05"))

	networks := p.shown()
	each := 3 // lines of a download
	bottom := b.height - 2
	if b.height >= 20 {
		bottom -= 3 // events
	}
	rows := 1
	if len(networks) > 0 {
		rows = max(1, min(max(4, b.height/6), (bottom-1-each*min(len(p.sessions), 3))/len(networks)))
	}
	y := 1
	for _, n := range networks {
		if y+rows > bottom {
			break
		}
		p.curve(b, n, y, rows)
		y += rows
	}
	if len(p.sessions) == 0 {
		b.text(0, y+1, tcell.StyleDefault, "No downloads. Start one: midstream curl -O URL")
	}
	// The chosen one is always to be seen.
	fits := max(1, (bottom-y)/each)
	from := max(0, min(p.chosen-fits+1, len(p.sessions)-fits))
	for i := from; i < len(p.sessions) && y+each <= bottom; i++ {
		p.download(b, p.sessions[i], y, i == p.chosen)
		y += each
	}
	if b.height >= 20 {
		for i, line := range p.events[max(0, len(p.events)-3):] {
			b.text(0, bottom+i, tcell.StyleDefault, cut(line, b.width))
		}
	}
	b.text(0, b.height-2, bold, cut(display.Line(p.question+p.answer), b.width))
	keys := first(b.width, "m move  u use for all  a best again  h hold  r release  up/down choose  q quit",
		"m move  u use  a best  h hold  r release  q quit", "m u a h r  q quit")
	if p.question != "" {
		keys = "a number chooses  Esc leaves it"
	}
	b.text(0, b.height-1, tcell.StyleDefault.Reverse(true), pad(cut(keys, b.width), b.width))
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-len([]rune(s))))
}

// curve shows a network's rate, all networks on one scale.
func (p *picture) curve(b *brush, n *network, y, rows int) {
	most := 1.0
	room := max(0, b.width-labelWidth-1)
	for _, other := range p.networks {
		for _, r := range other.rates[max(0, len(other.rates)-room):] {
			most = max(most, r)
		}
	}
	style, fill := b.of(p, n.name)
	state := ""
	if !n.usable {
		state = " (down)"
	}
	if n.gone {
		state = " (gone)"
	}
	b.text(0, y, style, string(fill))
	b.text(2, y, style.Bold(true), display.Shorten(n.name+state, labelWidth-2))
	if rows > 1 {
		b.text(2, y+1, tcell.StyleDefault, display.Size(int64(n.now()))+"/s")
	} else {
		b.right(y, tcell.StyleDefault, " "+display.Size(int64(n.now()))+"/s")
		room = max(0, room-12)
	}
	if rows > 2 {
		b.text(2, y+2, tcell.StyleDefault, display.Size(n.total))
	}
	rates := n.rates[max(0, len(n.rates)-room):]
	full := len(b.blocks) - 1
	for i, r := range rates {
		x := labelWidth + room - len(rates) + i
		level := int(r/most*float64(rows*full) + 0.5)
		if r > 0 {
			level = max(level, 1)
		}
		for row := range rows {
			part := max(0, min(full, level-(rows-1-row)*full))
			if part > 0 {
				b.SetContent(x, y+row, b.blocks[part], nil, style)
			}
		}
	}
}

// download shows one in three lines: what it is, its bar, and what is to be said of it.
func (p *picture) download(b *brush, s control.Session, y int, chosen bool) {
	style := tcell.StyleDefault
	cursor := "  "
	if chosen {
		style, cursor = style.Bold(true), "> "
	}
	rate := p.rates[s.ID]
	right := display.Size(int64(rate)) + "/s"
	if left := client.Remaining(s, rate); left != "" {
		right += "  " + left + " left"
	}
	if s.State == control.StateIdle || s.State == control.StateDone {
		right = s.State
	}
	room := max(8, b.width-len(right)-2)
	b.text(0, y, style, cursor+display.Shorten(display.Line(s.ID)+"  "+client.Name(s)+"  "+client.Program(s), room-2))
	b.right(y, style, right)

	if s.Length != nil && *s.Length > 0 {
		share := fmt.Sprintf(" %3d%% of %s", 100*s.Received / *s.Length, display.Size(*s.Length))
		p.bar(b, s, 2, y+1, max(8, b.width-2-len([]rune(share))))
		b.right(y+1, tcell.StyleDefault, share)
	} else {
		b.text(2, y+1, tcell.StyleDefault, display.Size(s.Received)+" so far")
	}
	say := "over " + s.Interface
	if n := len(s.Migrations); n > 0 {
		m := s.Migrations[n-1]
		say += fmt.Sprintf(", moved %d×, last from %s (%s), stall %.1f ms", n, m.From.Interface, m.Trigger, m.StallMS)
	}
	switch {
	case s.Held != nil:
		say = "HELD: it " + client.Held(s.Held, s.Kept, p.now)
	case s.Why != "" && !s.Movable:
		say += ": cannot be moved: " + s.Why
	case s.Kept:
		say += "; it " + client.Kept
	}
	b.text(2, y+2, tcell.StyleDefault.Dim(b.colours), cut(display.Line(say), b.width-2))
}

// bar shows how much came over which network; each has its colour and its fill.
func (p *picture) bar(b *brush, s control.Session, x, y, width int) {
	at := func(octets int64) int { return int(float64(octets) / float64(*s.Length) * float64(width)) }
	for i := range width {
		b.SetContent(x+i, y, b.empty, nil, tcell.StyleDefault)
	}
	for _, g := range client.Segments(s) {
		style, fill := b.of(p, g.Interface)
		for i := at(g.From); i < max(at(g.To), at(g.From)+1) && i < width; i++ {
			b.SetContent(x+i, y, fill, nil, style)
		}
	}
	for _, g := range client.Segments(s) {
		if g.From > 0 && at(g.From) < width {
			b.SetContent(x+at(g.From), y, b.mark, nil, tcell.StyleDefault.Bold(true))
		}
	}
}
