// The Content-Range field of a response (RFC 9110 §14.4).

package http1

import (
	"errors"
	"fmt"
	"strings"
)

// ErrContentRange: the field is invalid or in another unit; the content must not
// be combined with any other.
var ErrContentRange = errors.New("invalid Content-Range, do not combine this content")

// ContentRange says which octets of a representation a response carries: First to
// Last, inclusive, of Total; Total is -1 where the server does not know it. In a
// 416 First and Last are -1 and Total is the current length.
type ContentRange struct {
	First, Last, Total int64
}

// Unsatisfied reports whether this is "bytes */N", the answer to a range beyond the end.
func (c ContentRange) Unsatisfied() bool { return c.First < 0 }

// Length returns the number of octets in the range.
func (c ContentRange) Length() int64 {
	if c.Unsatisfied() {
		return 0
	}
	return c.Last - c.First + 1
}

// ContentRange returns the field. It says something about a 206 and a 416 only; a
// multipart/byteranges answer has it in its parts. The error wraps ErrContentRange.
func (r *Response) ContentRange() (c ContentRange, present bool, err error) {
	if !r.Has("Content-Range") {
		return ContentRange{}, false, nil
	}
	value, ok := r.only("Content-Range")
	if !ok {
		return ContentRange{}, true, fmt.Errorf("several unequal fields: %w", ErrContentRange)
	}
	unit, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(unit, "bytes") {
		return ContentRange{}, true, fmt.Errorf("the unit is not bytes: %w", ErrContentRange)
	}
	span, total, _ := strings.Cut(trimOWS(rest), "/")
	c = ContentRange{First: -1, Last: -1, Total: -1}
	if total != "*" {
		if c.Total, ok = parseDecimal(total); !ok {
			return ContentRange{}, true, fmt.Errorf("bad complete length: %w", ErrContentRange)
		}
	}
	if span == "*" {
		if c.Total < 0 {
			return ContentRange{}, true, fmt.Errorf("neither range nor length: %w", ErrContentRange)
		}
		return c, true, nil
	}
	first, last, _ := strings.Cut(span, "-")
	var okFirst, okLast bool
	c.First, okFirst = parseDecimal(first)
	c.Last, okLast = parseDecimal(last)
	if !okFirst || !okLast || c.Last < c.First || c.Total >= 0 && c.Total <= c.Last {
		return ContentRange{}, true, fmt.Errorf("bad range: %w", ErrContentRange)
	}
	return c, true, nil
}
