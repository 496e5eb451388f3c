// Field lines: the common part of request heads, response heads and trailers
// (RFC 9110 §5, RFC 9112 §5).

package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxHead is the longest head that is parsed, in octets, from the start line
	// up to and including the empty line.
	MaxHead = 256 << 10
	// MaxFields is the largest number of field lines in a head or trailer section.
	MaxFields = 1000
)

var (
	// ErrIncomplete: the octets end before the empty line that ends a head.
	ErrIncomplete = errors.New("the head is not complete, more octets are needed")
	// ErrTooLarge: a head, a trailer section or a chunk-size line exceeds its limit.
	ErrTooLarge = errors.New("it exceeds the limit, leave the message alone")
	// ErrMalformed: the octets are not HTTP/1, or readers could disagree on their meaning.
	ErrMalformed = errors.New("malformed, leave the message alone")
)

// Field is one field line.
type Field struct {
	Name  string // as sent
	Value string // without the whitespace around it; each obs-fold is replaced by one space
	Raw   string // the whole line as sent, obs-folds and line end included
}

// Is reports whether the field has this name; case does not matter (RFC 9110 §5.1).
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Fields are field lines in the order in which they were sent.
type Fields []Field

// Has reports whether there is a field line with this name.
func (fs Fields) Has(name string) bool {
	for _, f := range fs {
		if f.Is(name) {
			return true
		}
	}
	return false
}

// Values returns the values of all field lines with this name, in order; nil if there is none.
func (fs Fields) Values(name string) []string {
	var values []string
	for _, f := range fs {
		if f.Is(name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Get returns the combined value, joined by ", " (RFC 9110 §5.2); "" if there is none.
func (fs Fields) Get(name string) string { return strings.Join(fs.Values(name), ", ") }

// HasToken reports whether the comma-separated list in the fields with this name
// holds the token; case does not matter. It suits Connection, TE and the like.
func (fs Fields) HasToken(name, token string) bool {
	for _, v := range fs.Values(name) {
		for member := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(trimOWS(member), token) {
				return true
			}
		}
	}
	return false
}

// only returns the value of a field that must not be repeated with another
// value; ok is false where it is absent or its lines disagree.
func (fs Fields) only(name string) (value string, ok bool) {
	for _, f := range fs {
		if !f.Is(name) {
			continue
		}
		if ok && f.Value != value {
			return "", false
		}
		value, ok = f.Value, true
	}
	return value, ok
}

// HeadEnd returns the index after the empty line that ends the head at the start
// of b, or -1 where b does not hold it yet. Lines may end in CRLF or, as RFC 9112
// §2.2 tolerates, in a bare LF. A caller that collects a head in pieces gives up
// at MaxHead octets without an end.
func HeadEnd(b []byte) int { return HeadEndAfter(b, 0) }

// HeadEndAfter is HeadEnd for a growing b whose first seen octets are known not to
// hold the end: it looks at the new octets only.
func HeadEndAfter(b []byte, seen int) int {
	// The end may begin in the seen part, with LF or LF CR.
	i := max(0, seen-2)
	for {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return -1
		}
		i += lf + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// head is a head taken apart, its text shared by everything cut out of it.
type head struct {
	start    string // start line without its line end
	startRaw string // with it
	fields   Fields
	end      string // the empty line
}

// parseHead takes a whole head apart; nothing may follow its empty line.
func parseHead(b []byte) (head, error) {
	if len(b) > MaxHead {
		return head{}, fmt.Errorf("head of %d octets: %w", len(b), ErrTooLarge)
	}
	end := HeadEnd(b)
	switch {
	case end < 0:
		return head{}, ErrIncomplete
	case end < len(b):
		return head{}, fmt.Errorf("%d octets after the empty line: %w", len(b)-end, ErrMalformed)
	}
	text := string(b)
	var h head
	var err error
	h.start, h.startRaw, err = cutLine(text)
	if err != nil {
		return head{}, fmt.Errorf("start line: %w", err)
	}
	rest := text[len(h.startRaw):]
	last := strings.LastIndexByte(rest[:len(rest)-1], '\n') + 1
	h.end = rest[last:]
	h.fields, err = parseFields(rest[:last])
	return h, err
}

// parseFields takes field lines apart, up to but not including the empty line.
func parseFields(text string) (Fields, error) {
	if text == "" {
		return nil, nil
	}
	fields := make(Fields, 0, min(strings.Count(text, "\n"), MaxFields))
	for text != "" {
		if len(fields) == MaxFields {
			return nil, fmt.Errorf("more than %d fields: %w", MaxFields, ErrTooLarge)
		}
		f, err := cutField(text)
		if err != nil {
			return nil, fmt.Errorf("field line %d: %w", len(fields)+1, err)
		}
		fields = append(fields, f)
		text = text[len(f.Raw):]
	}
	return fields, nil
}

// cutField takes the first field line, with its obs-folds, off the text.
func cutField(text string) (Field, error) {
	line, raw, err := cutLine(text)
	if err != nil {
		return Field{}, err
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return Field{}, fmt.Errorf("no colon: %w", ErrMalformed)
	}
	if !isToken(name) {
		// Whitespace before the colon and an obs-fold without a field before it
		// end up here, too (RFC 9112 §5.1, §2.2).
		return Field{}, fmt.Errorf("the name is not a token: %w", ErrMalformed)
	}
	f := Field{Name: name, Value: trimOWS(value), Raw: raw}
	var folded []string
	for n := len(raw); n < len(text) && (text[n] == ' ' || text[n] == '\t'); n = len(f.Raw) {
		line, raw, err = cutLine(text[n:])
		if err != nil {
			return Field{}, err
		}
		if folded == nil {
			folded = append(folded, f.Value)
		}
		folded = append(folded, trimOWS(line))
		f.Raw = text[:n+len(raw)]
	}
	if folded != nil {
		f.Value = trimOWS(strings.Join(folded, " "))
	}
	return f, nil
}

// cutLine takes the first line off the text, without and with its line end.
func cutLine(text string) (line, raw string, err error) {
	lf := strings.IndexByte(text, '\n')
	if lf < 0 {
		return "", "", ErrIncomplete
	}
	raw = text[:lf+1]
	line = strings.TrimSuffix(text[:lf], "\r")
	if strings.IndexByte(line, '\r') >= 0 || strings.IndexByte(line, 0) >= 0 {
		return "", "", fmt.Errorf("bare CR or NUL: %w", ErrMalformed)
	}
	return line, raw, nil
}

// validValue reports whether v can stand in a field line that is written.
func validValue(v string) bool { return !strings.ContainsAny(v, "\r\n\x00") }

func trimOWS(s string) string { return strings.Trim(s, " \t") }

// isToken: RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
