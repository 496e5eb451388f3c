// What a process has been handed of films, in time, and how much of that its player has not come to yet.
package playtime

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	backwards = time.Second      // what begins so far before the last time stamp is another run of the film: a list that loops, a jump
	forwards  = time.Minute      // or so far behind it: segments in between may have come too fast to be seen
	forgotten = time.Minute      // after so long without a time stamp another film begins
	alike     = 15 * time.Second // another line of the same film is as far as the first, but for so much
	maxFilms  = 16
	maxLines  = 16
)

// Clock is that of one process. The zero value has seen nothing. Safe for concurrent use.
type Clock struct {
	mu    sync.Mutex
	films []*played // those that have brought something last come last
}

// played is a film: what lies in one folder.
type played struct {
	folder string
	scales scales
	lines  []*line
	begun  time.Time // when its player had the first time stamp, if it has played ever since
	noted  time.Time // when the last one came
	handed time.Duration
	left   *time.Duration // its player does not want more: so much it had not come to when that began
}

// line is one sequence of segments: a film's sound may have one of its own, and each of its qualities has.
type line struct {
	of    *played
	name  string
	noted time.Time
	url   string
	from  Source        // the last one, of that URL
	start time.Duration // with which that began
	base  time.Duration // handed over before it
	last  time.Duration // the last time stamp
	had   time.Duration // handed over with it
}

// split returns the folder, and a segment's name without its number.
func split(url string) (folder, name string) {
	url, _, _ = strings.Cut(url, "?")
	at := strings.LastIndexByte(url, '/') + 1
	folder, name = url[:at], url[at:]
	const digits = "0123456789"
	if last := strings.LastIndexAny(name, digits) + 1; last > 0 {
		name = strings.TrimRight(name[:last], digits) + name[last:]
	}
	return folder, name
}

// film returns the one of that folder, a new one if there is none. With mu.
func (c *Clock) film(folder string) *played {
	at := slices.IndexFunc(c.films, func(p *played) bool { return p.folder == folder })
	if at < 0 {
		if len(c.films) == maxFilms {
			c.films = slices.Delete(c.films, 0, 1)
		}
		c.films = append(c.films, &played{folder: folder})
		at = len(c.films) - 1
	}
	return c.films[at]
}

func (c *Clock) scales(url string) *scales {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder, _ := split(url)
	return &c.film(folder).scales
}

func (c *Clock) line(url string) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder, name := split(url)
	p := c.film(folder)
	for _, l := range p.lines {
		if l.name == name {
			return l
		}
	}
	if len(p.lines) == maxLines {
		p.lines = slices.Delete(p.lines, 0, 1)
	}
	l := &line{of: p, name: name}
	p.lines = append(p.lines, l)
	return l
}

// leads is the line that is farthest, nil before there is one. With mu.
func (p *played) leads() (first *line) {
	for _, l := range p.lines {
		if !l.noted.IsZero() && (first == nil || l.had > first.had) {
			first = l
		}
	}
	return first
}

// takes reports whether the line goes on with the source, which begins with the film's time at. What a player fetches ahead, beside a
// segment that is still to come, counts when that has come.
func (c *Clock) takes(l *line, s Source, at time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.from == nil || l.from == s || l.from.Over() || at < l.start
}

// has reports whether the source is the one that the line is going on with.
func (c *Clock) has(l *line, s Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.from == s
}

// begin takes that a download of the line's, which began then, begins with the film's time at. Where the one before was of the same URL,
// and was not read to its end, the player has gone to another place in it, and keeps nothing of what it had.
func (c *Clock) begin(l *line, s Source, url string, now, began time.Time, at time.Duration) {
	c.mu.Lock()
	if l.url == url && l.from != nil && !l.from.Done() && (at-l.last).Abs() > backwards {
		l.of.restart()
	}
	if l.from != nil && l.from != s && !l.from.Over() && at < l.start {
		l.last, l.had = at, l.base // that was fetched ahead
		l.of.handed = l.base
	}
	l.url, l.from, l.start = url, s, at
	c.mu.Unlock()
	c.note(l, now, began, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	l.base = l.had
}

// restart forgets what has been handed over. With mu.
func (p *played) restart() {
	for _, l := range p.lines {
		l.noted, l.had = time.Time{}, 0
	}
	p.begun, p.handed, p.left = time.Time{}, 0, nil
}

// note takes that a download of the line, which began then, reaches the film's time at.
func (c *Clock) note(l *line, now, began time.Time, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := l.of
	if !p.noted.IsZero() && now.Sub(p.noted) > forgotten && p.left == nil {
		p.restart()
	}
	// A player that has come to the end waits; one that has left octets unread for longer than what it had can have lasted has been paused.
	if buffer := p.handed - now.Sub(p.begun); !p.begun.IsZero() && buffer < 0 {
		buffer = 0
		if p.left != nil {
			buffer = *p.left
		}
		p.begun = now.Add(buffer - p.handed)
	}
	p.left = nil
	lead := p.leads()
	ahead := at - l.last
	switch {
	case lead == nil:
		l.last, l.had = at, 0
	case l.noted.IsZero() && at-lead.last > -alike && at-lead.last < alike:
		l.last, l.had = at, max(lead.had+at-lead.last, 0)
	case l.noted.IsZero():
		l.last, l.had = at, lead.had
	case began.After(l.noted) && (ahead < -backwards || ahead > forwards):
		l.last = at
	case ahead > 0:
		l.last, l.had = at, l.had+ahead
	default:
		l.noted = now
		p.noted = now
		return
	}
	l.noted, p.noted = now, now
	p.handed = max(p.handed, l.had)
	if p.begun.IsZero() {
		p.begun = now
	}
	if at := slices.Index(c.films, p); at >= 0 {
		c.films = append(slices.Delete(c.films, at, at+1), p)
	}
}

// Play is how a film stands.
type Play struct {
	Handed time.Duration // play time that the program has been handed
	Buffer time.Duration // what of that a player has not come to yet that has played at the film's pace since the first time stamp
	Full   bool          // the program leaves octets unread, so that Buffer is not known
}

// Play returns how the film at url, and what lies beside it, stands; ok is false where that is not known.
func (c *Clock) Play(url string, now time.Time) (is Play, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder, _ := split(url)
	for _, p := range c.films {
		if p.folder == folder && !p.begun.IsZero() {
			return Play{p.handed, max(p.handed-now.Sub(p.begun), 0), p.left != nil}, true
		}
	}
	return Play{}, false
}

// Full takes that the program at url leaves octets unread: it has enough for now, or has been paused.
func (c *Clock) Full(url string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder, _ := split(url)
	for _, p := range c.films {
		if p.folder == folder && !p.begun.IsZero() && p.left == nil {
			left := max(p.handed-now.Sub(p.begun), 0)
			p.left = &left
		}
	}
}
