// Validators: what shows that two responses carry the same representation
// (RFC 9110 §8.8, §13.1.5).

package http1

import (
	"strings"
	"time"
)

// Validators are what a response says about the identity of its representation.
type Validators struct {
	ETag               string // with its quotes, without W/; "" where absent or invalid
	Weak               bool   // the ETag is weak
	LastModified       string // as sent
	LastModifiedStrong bool   // by §8.8.2.2: Date is at least one second later
	Length             int64  // of the complete representation in octets, -1 unknown
	Encoding           string // Content-Encoding, in lower case
	Partial            bool   // of a 206, which may omit what a 200 would have said (§15.3.7)
}

// Validators returns what the response says about its representation. Only those of
// a 200 and of a 206 mean the content that was requested.
func (r *Response) Validators() Validators {
	v := Validators{
		Length:   r.completeLength(),
		Encoding: strings.ToLower(r.Get("Content-Encoding")),
		Partial:  r.Status == 206,
	}
	if tag, ok := r.only("ETag"); ok {
		opaque, weak := strings.CutPrefix(tag, "W/")
		if isOpaqueTag(opaque) {
			v.ETag, v.Weak = opaque, weak
		}
	}
	v.LastModified, _ = r.only("Last-Modified")
	date, _ := r.only("Date")
	modified, ok := parseDate(v.LastModified)
	if sent, dated := parseDate(date); ok && dated {
		v.LastModifiedStrong = !sent.Before(modified.Add(time.Second))
	}
	return v
}

// completeLength returns the length of the whole representation, -1 where not told.
func (r *Response) completeLength() int64 {
	switch r.Status {
	case 200:
		if f, err := r.Framing("GET"); err == nil && f.Kind == Length {
			return f.Length
		}
	case 206, 416:
		if c, present, err := r.ContentRange(); present && err == nil {
			return c.Total
		}
	}
	return -1
}

// IfRange returns the value for If-Range: the strong ETag, else, where there is no
// ETag at all, the strong date, else "" (RFC 9110 §13.1.5).
func (v Validators) IfRange() string {
	switch {
	case v.ETag != "" && !v.Weak:
		return v.ETag
	case v.ETag == "" && v.LastModifiedStrong:
		return v.LastModified
	}
	return ""
}

// Strong reports whether there is a strong validator that If-Range may carry.
func (v Validators) Strong() bool { return v.IfRange() != "" }

// EqualStrong reports whether both have the same strong validator and nothing else
// that contradicts it: proof enough that the representation is the same. Dates count
// only where neither has an ETag.
func (v Validators) EqualStrong(w Validators) bool {
	switch {
	case v.Contradicts(w):
		return false
	case v.ETag != "" || w.ETag != "":
		return v.sameStrongETag(w)
	}
	return v.LastModifiedStrong && w.LastModifiedStrong && sameDate(v.LastModified, w.LastModified)
}

// Contradicts reports whether the two cannot be the same representation, whatever
// their octets so far: other complete lengths, content codings or, without an equal
// strong ETag, modification dates. Unequal ETags are no contradiction: server
// software makes them in different forms for the same content.
func (v Validators) Contradicts(w Validators) bool {
	if v.Length >= 0 && w.Length >= 0 && v.Length != w.Length {
		return true
	}
	if v.Encoding != w.Encoding && !(v.Encoding == "" && v.Partial) && !(w.Encoding == "" && w.Partial) {
		return true
	}
	return v.LastModified != "" && w.LastModified != "" &&
		!sameDate(v.LastModified, w.LastModified) && !v.sameStrongETag(w)
}

// OverlapProves reports whether an equal overlap of octets would show that the two
// are the same where EqualStrong does not: both have the same known length and the
// same modification date. Else they are to be refused.
func (v Validators) OverlapProves(w Validators) bool {
	return !v.Contradicts(w) && v.Length >= 0 && w.Length >= 0 &&
		v.LastModified != "" && sameDate(v.LastModified, w.LastModified)
}

func (v Validators) sameStrongETag(w Validators) bool {
	return v.ETag != "" && !v.Weak && !w.Weak && v.ETag == w.ETag
}

// isOpaqueTag: RFC 9110 §8.8.3, but spaces are let through as servers send them.
func isOpaqueTag(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		if s[i] < 0x20 || s[i] == '"' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// sameDate compares two dates as instants, or as text where they are none.
func sameDate(a, b string) bool {
	s, okA := parseDate(a)
	t, okB := parseDate(b)
	if okA && okB {
		return s.Equal(t)
	}
	return a == b
}

// parseDate reads the three forms of RFC 9110 §5.6.7.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range [...]string{
		"Mon, 02 Jan 2006 15:04:05 GMT",
		"Monday, 02-Jan-06 15:04:05 GMT",
		time.ANSIC,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
