// Finds the line of a key. The TOML library tells lines of syntax errors only, so that a wrong key
// or value is looked up here, by a walk that knows no more of TOML than where statements begin.
package config

import (
	"strconv"
	"strings"
)

// path names a key: tables and arrays' indices from the outermost on.
type path []string

func (p path) with(part string) path { return append(p[:len(p):len(p)], part) }

func (p path) id() string { return strings.Join(p, "\x00") }

// String writes the path as TOML would: dotted, quoted where needed, indices in brackets.
func (p path) String() string {
	var b strings.Builder
	for _, part := range p {
		if strings.HasPrefix(part, "#") {
			b.WriteString("[" + part[1:] + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !bareKeyRune(r) }) {
			part = strconv.Quote(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

func index(i int) string { return "#" + strconv.Itoa(i) }

func bareKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// lines knows where the keys of a document stand.
type lines struct {
	at    map[string]int
	depth int // the deepest nesting of brackets in any value or header
	parts int // the longest dotted key
}

// line returns the line of p, or that of the nearest enclosing key that has one of its own, or 0.
func (l *lines) line(p path) int {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if n, ok := l.at[p.id()]; ok {
			return n
		}
	}
	return 0
}

// locate walks a document. What it finds in one that is not valid TOML is of no use, but it ends.
func locate(text string) *lines {
	s := scanner{text: text, line: 1, found: &lines{at: map[string]int{}}, tables: map[string]int{}}
	for s.pos < len(s.text) {
		s.statement()
	}
	return s.found
}

type scanner struct {
	text   string
	pos    int
	line   int
	table  path           // the table that the last header opened
	tables map[string]int // how many elements each array of tables has so far
	found  *lines
}

// statement consumes one header or assignment with its line, or one empty line.
func (s *scanner) statement() {
	s.blanks()
	line := s.line
	switch s.peek() {
	case '[':
		s.pos++
		array := s.peek() == '['
		if array {
			s.pos++
		}
		s.open(s.key(), array, line)
	case '\n', '#', 0:
	default:
		p := s.table
		for _, part := range s.key() {
			p = p.with(part)
			s.note(p, line)
		}
	}
	s.rest()
}

// open enters the table of a header; parts that are arrays of tables mean their latest element.
func (s *scanner) open(parts []string, array bool, line int) {
	p := path{}
	for i, part := range parts {
		p = p.with(part)
		s.note(p, line)
		if array && i == len(parts)-1 {
			s.tables[p.id()]++
		}
		if n := s.tables[p.id()]; n > 0 {
			p = p.with(index(n - 1))
			s.note(p, line)
		}
	}
	s.table = p
}

func (s *scanner) note(p path, line int) {
	id := p.id()
	if _, ok := s.found.at[id]; !ok {
		s.found.at[id] = line
	}
}

// key reads a dotted key up to what cannot belong to it.
func (s *scanner) key() []string {
	var parts []string
	for {
		s.blanks()
		start := s.pos
		switch c := s.peek(); {
		case c == '"' || c == '\'':
			s.quoted()
			part := s.text[start:s.pos]
			if unquoted, err := strconv.Unquote(part); err == nil && c == '"' {
				part = unquoted
			} else {
				part = strings.Trim(part, string(c))
			}
			parts = append(parts, part)
		case bareKeyRune(rune(c)):
			for bareKeyRune(rune(s.peek())) {
				s.pos++
			}
			parts = append(parts, s.text[start:s.pos])
		default:
			return parts
		}
		s.found.parts = max(s.found.parts, len(parts))
		// More parts than any table here has are not worth their lines: Load refuses them.
		if s.blanks(); s.peek() != '.' || len(parts) > maxKeyParts {
			return parts
		}
		s.pos++
	}
}

// rest consumes what follows a key or header, to the end of the line that the value ends in.
func (s *scanner) rest() {
	for depth := 0; s.pos < len(s.text); {
		switch s.peek() {
		case '"', '\'':
			s.quoted()
			continue
		case '#':
			for s.pos < len(s.text) && s.peek() != '\n' {
				s.pos++
			}
			continue
		case '[', '{':
			depth++
			s.found.depth = max(s.found.depth, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			s.line++
			if depth == 0 {
				s.pos++
				return
			}
		}
		s.pos++
	}
}

// quoted consumes a string of any of the four kinds.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	end := quote
	if strings.HasPrefix(s.text[s.pos:], strings.Repeat(quote, 3)) {
		end = strings.Repeat(quote, 3)
	}
	s.pos += len(end)
	for s.pos < len(s.text) {
		switch {
		case strings.HasPrefix(s.text[s.pos:], end):
			s.pos += len(end)
			// Up to two quotation marks may stand directly before the closing three.
			for i := 0; len(end) == 3 && i < 2 && s.peek() == quote[0]; i++ {
				s.pos++
			}
			return
		case s.peek() == '\n':
			if len(end) == 1 {
				return // not closed: invalid, and the line ends it
			}
			s.line++
		case quote == `"` && s.peek() == '\\' && s.pos+1 < len(s.text) && s.text[s.pos+1] != '\n':
			s.pos++
		}
		s.pos++
	}
}

func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' || s.peek() == '\r' {
		s.pos++
	}
}

// peek returns the octet at hand, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}
