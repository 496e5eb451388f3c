package http1

import (
	"errors"
	"math"
	"testing"
)

func TestRangeReadsTheThreeForms(t *testing.T) {
	for value, want := range map[string]Range{
		"bytes=0-":                      {First: 0, Last: -1},
		"bytes=5-9":                     {First: 5, Last: 9},
		"Bytes=5-5":                     {First: 5, Last: 5},
		"bytes=-7":                      {First: -1, Last: -1, Suffix: 7},
		"bytes=-0":                      {First: -1, Last: -1},
		"bytes= ,5-9,":                  {First: 5, Last: 9},
		"bytes=0-99999999999999999999":  {First: 0, Last: math.MaxInt64},
		"bytes=9223372036854775807-":    {First: math.MaxInt64, Last: -1},
		"bytes=-99999999999999999999 ,": {First: -1, Last: -1, Suffix: math.MaxInt64},
	} {
		got, present, err := mustRequest(t, "GET / HTTP/1.1", "Range: "+value).Range()
		if got != want || !present || err != nil {
			t.Errorf("%q: %+v %v %v", value, got, present, err)
		}
		again, _, err := mustRequest(t, "GET / HTTP/1.1", "Range: "+got.String()).Range()
		if again != got || err != nil {
			t.Errorf("%q written as %q reads %+v %v", value, got, again, err)
		}
	}
}

func TestRangeThatCountsAsAbsentSaysWhy(t *testing.T) {
	for value, want := range map[string]error{
		"bytes=1-2,3-4": ErrSeveralRanges,
		"bytes=0-,-5":   ErrSeveralRanges,
		"seconds=1-2":   ErrRangeUnit,
		"bytes":         ErrRangeSyntax,
		"bytes=":        ErrRangeSyntax,
		"bytes=,":       ErrRangeSyntax,
		"bytes=-":       ErrRangeSyntax,
		"bytes=9-5":     ErrRangeSyntax,
		"bytes=a-":      ErrRangeSyntax,
		"bytes=1-2-3":   ErrRangeSyntax,
		"bytes=+1-2":    ErrRangeSyntax,
		"bytes =1-2":    ErrRangeSyntax,
		"bytes=1 - 2":   ErrRangeSyntax,
		"bytes=--5":     ErrRangeSyntax,
	} {
		_, present, err := mustRequest(t, "GET / HTTP/1.1", "Range: "+value).Range()
		if !errors.Is(err, want) || present != (want == ErrSeveralRanges) {
			t.Errorf("%q: present %v, %v, want %v", value, present, err, want)
		}
	}
	if _, present, err := mustRequest(t, "GET / HTTP/1.1").Range(); present || err != nil {
		t.Errorf("no field: %v %v", present, err)
	}
}

func TestRangeResolvesAgainstALength(t *testing.T) {
	for _, c := range []struct {
		g                  Range
		total, first, last int64
		ok                 bool
	}{
		{Range{First: 0, Last: -1}, 10, 0, 9, true},
		{Range{First: 2, Last: 5}, 10, 2, 5, true},
		{Range{First: 2, Last: 50}, 10, 2, 9, true},
		{Range{First: -1, Last: -1, Suffix: 3}, 10, 7, 9, true},
		{Range{First: -1, Last: -1, Suffix: 30}, 10, 0, 9, true},
		{Range{First: -1, Last: -1}, 10, 0, 0, false},
		{Range{First: 10, Last: -1}, 10, 0, 0, false},
		{Range{First: 0, Last: -1}, 0, 0, 0, false},
	} {
		first, last, ok := c.g.Resolve(c.total)
		if ok != c.ok || ok && (first != c.first || last != c.last) {
			t.Errorf("%v of %d: %d-%d %v", c.g, c.total, first, last, ok)
		}
	}
}
