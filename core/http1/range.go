// The Range field of a request (RFC 9110 §14.1.1, §14.2).

package http1

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var (
	// ErrSeveralRanges: the request asks for more than one range, so a
	// multipart/byteranges answer is possible.
	ErrSeveralRanges = errors.New("several ranges are requested")
	// ErrRangeUnit: the unit is not bytes; the field counts as absent.
	ErrRangeUnit = errors.New("the range unit is not bytes")
	// ErrRangeSyntax: the field is invalid and counts as absent.
	ErrRangeSyntax = errors.New("the Range field is invalid")
)

// Range is a single range of octets as requested, in one of three forms:
// First-Last (both ≥ 0, Last inclusive), First- (Last is -1), and the last
// Suffix octets (First and Last are -1). Numbers beyond int64 are its maximum.
type Range struct {
	First, Last int64
	Suffix      int64
}

// IsSuffix reports whether the range counts from the end.
func (g Range) IsSuffix() bool { return g.First < 0 }

// String returns the field value, as in "bytes=5-9".
func (g Range) String() string {
	b := append(make([]byte, 0, 48), "bytes="...)
	if g.IsSuffix() {
		return string(strconv.AppendInt(append(b, '-'), g.Suffix, 10))
	}
	b = append(strconv.AppendInt(b, g.First, 10), '-')
	if g.Last >= 0 {
		b = strconv.AppendInt(b, g.Last, 10)
	}
	return string(b)
}

// Resolve returns the octets first to last (inclusive) that the range selects in a
// representation of total octets (≥ 0); ok is false where it selects none.
func (g Range) Resolve(total int64) (first, last int64, ok bool) {
	first, last = g.First, total-1
	if g.IsSuffix() {
		first = total - min(g.Suffix, total)
	} else if g.Last >= 0 {
		last = min(last, g.Last)
	}
	return first, last, first <= last
}

// Range returns the requested range. present is false where there is none, and
// where the field counts as absent by RFC 9110 §14.2: then err is ErrRangeUnit or
// ErrRangeSyntax. With several ranges present is true and err is ErrSeveralRanges.
func (r *Request) Range() (g Range, present bool, err error) {
	values := r.Values("Range")
	switch len(values) {
	case 0:
		return Range{}, false, nil
	case 1:
	default:
		return Range{}, true, ErrSeveralRanges
	}
	unit, set, ok := strings.Cut(values[0], "=")
	switch {
	case !ok || !isToken(unit):
		return Range{}, false, ErrRangeSyntax
	case !strings.EqualFold(unit, "bytes"):
		return Range{}, false, ErrRangeUnit
	}
	n := 0
	for spec := range strings.SplitSeq(set, ",") {
		if spec = trimOWS(spec); spec == "" {
			continue // RFC 9110 §5.6.1.2: empty list members do not count
		}
		n++
		if g, ok = parseRangeSpec(spec); !ok {
			return Range{}, false, ErrRangeSyntax
		}
	}
	switch n {
	case 0:
		return Range{}, false, ErrRangeSyntax
	case 1:
		return g, true, nil
	}
	return Range{}, true, ErrSeveralRanges
}

func parseRangeSpec(spec string) (g Range, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return Range{}, false
	}
	g = Range{First: -1, Last: -1}
	if first == "" {
		g.Suffix, ok = saturate(last)
		return g, ok
	}
	if g.First, ok = saturate(first); !ok {
		return Range{}, false
	}
	if last == "" {
		return g, true
	}
	g.Last, ok = saturate(last)
	return g, ok && g.First <= g.Last
}

// saturate reads a decimal number; one that is too large is as good as the largest.
func saturate(s string) (int64, bool) {
	if !isDigits(s) {
		return 0, false
	}
	if n, ok := parseDecimal(s); ok {
		return n, true
	}
	return math.MaxInt64, true
}

// parseDecimal reads 1*DIGIT; ok is false for anything else and beyond int64.
func parseDecimal(s string) (n int64, ok bool) {
	if !isDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
