package objects

import (
	"fmt"
	"strings"
	"testing"
)

func TestTheLastOnesAreRememberedAndAllAreCounted(t *testing.T) {
	var l Lists
	if l.Of(1) != nil {
		t.Error("something has come of nothing")
	}
	for i := range 100 {
		l.Add(1, fmt.Sprint("http://a/", i), int64(i))
	}
	l.Add(1, "http://a/99", 99) // a playlist may name the same one twice
	n := l.Count(1, 10)
	o := l.Of(1)
	if n != 111 || o.Count != 111 || len(o.Last) != lastKept || o.Last[0].URL != "http://a/99" || o.Last[1] != o.Last[0] || o.Last[7].Octets != 93 {
		t.Errorf("%d: %+v", n, o)
	}
}

func TestTheirMemoryIsBounded(t *testing.T) {
	var l Lists
	for pid := range 1000 {
		l.Add(pid, "http://a/"+strings.Repeat("x", 1<<20), 1)
		l.Count(7, 1) // this one goes on
	}
	if len(l.list) != processes || l.Of(7).Count != 1001 || l.Of(900) != nil || len(l.Of(999).Last[0].URL) != longest {
		t.Errorf("%d processes, %+v", len(l.list), l.Of(7))
	}
}
