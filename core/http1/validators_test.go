package http1

import "testing"

const (
	date1 = "Sun, 06 Nov 1994 08:49:37 GMT"
	date2 = "Sun, 06 Nov 1994 08:49:38 GMT"
)

func TestValidatorsAndIfRange(t *testing.T) {
	for _, c := range []struct {
		head, ifRange string
	}{
		{"ETag: \"a\"\r\nLast-Modified: " + date1, `"a"`},
		{`ETag: ""`, `""`},
		{"ETag: W/\"a\"\r\nLast-Modified: " + date1 + "\r\nDate: " + date2, ""},
		{"Last-Modified: " + date1 + "\r\nDate: " + date2, date1},
		{"Last-Modified: " + date1 + "\r\nDate: Sunday, 06-Nov-94 08:49:38 GMT", date1},
		{"Last-Modified: Sun Nov  6 08:49:37 1994\r\nDate: " + date2, "Sun Nov  6 08:49:37 1994"},
		{"Last-Modified: " + date1 + "\r\nDate: " + date1, ""},
		{"Last-Modified: " + date2 + "\r\nDate: " + date1, ""},
		{"Last-Modified: " + date1, ""},
		{"Last-Modified: yesterday\r\nDate: " + date1, ""},
		{"ETag: a", ""},
		{`ETag: w/"a"`, ""},
		{`ETag: "a"b"`, ""},
		{"ETag: \"a\"\r\nETag: \"b\"", ""},
		{"X: y", ""},
	} {
		v := mustResponse(t, "HTTP/1.1 200 OK", c.head).Validators()
		if v.IfRange() != c.ifRange || v.Strong() != (c.ifRange != "") {
			t.Errorf("%q: If-Range %q, strong %v", c.head, v.IfRange(), v.Strong())
		}
	}
}

func TestValidatorsKnowTheCompleteLength(t *testing.T) {
	for head, want := range map[string]int64{
		"HTTP/1.1 200\r\nContent-Length: 5":                               5,
		"HTTP/1.1 200\r\nContent-Length: 5\r\nTransfer-Encoding: chunked": -1,
		"HTTP/1.1 206\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9": 9,
		"HTTP/1.1 206\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/*": -1,
		"HTTP/1.1 206\r\nContent-Length: 5":                               -1,
		"HTTP/1.1 416\r\nContent-Range: bytes */9":                        9,
		"HTTP/1.1 404\r\nContent-Length: 5":                               -1,
	} {
		if got := mustResponse(t, head).Validators().Length; got != want {
			t.Errorf("%q: %d", head, got)
		}
	}
}

func TestLadderOfProof(t *testing.T) {
	dated := func(v Validators) Validators {
		v.LastModified, v.LastModifiedStrong = date1, true
		return v
	}
	a := Validators{ETag: `"a"`, Length: 9}
	for _, c := range []struct {
		name                            string
		old, new                        Validators
		equal, contradiction, byOverlap bool
	}{
		{"equal ETag", a, a, true, false, false},
		{"equal ETag, length unknown", a, Validators{ETag: `"a"`, Length: -1}, true, false, false},
		{"equal ETag, other length", a, Validators{ETag: `"a"`, Length: 8}, false, true, false},
		{"equal ETag, other date", dated(a), Validators{ETag: `"a"`, Length: 9, LastModified: date2}, true, false, false},
		{"equal ETag, other coding", a, Validators{ETag: `"a"`, Length: -1, Encoding: "gzip"}, false, true, false},
		{"equal ETag, coding omitted by a 206", Validators{ETag: `"a"`, Length: -1, Encoding: "gzip"}, Validators{ETag: `"a"`, Length: 9, Partial: true}, true, false, false},
		{"one ETag weak", a, Validators{ETag: `"a"`, Weak: true, Length: 9}, false, false, false},
		{"other form of ETag, same date", dated(a), dated(Validators{ETag: `"b"`, Length: 9}), false, false, true},
		{"other form of ETag, no date", a, Validators{ETag: `"b"`, Length: 9}, false, false, false},
		{"other form of ETag, length unknown", dated(a), dated(Validators{ETag: `"b"`, Length: -1}), false, false, false},
		{"ETag on one side", dated(a), dated(Validators{Length: 9}), false, false, true},
		{"strong dates", dated(Validators{Length: -1}), dated(Validators{Length: -1}), true, false, false},
		{"other dates", dated(Validators{Length: 9}), Validators{Length: 9, LastModified: date2, LastModifiedStrong: true}, false, true, false},
		{"weak date", dated(Validators{Length: 9}), Validators{Length: 9, LastModified: date1}, false, false, true},
		{"nothing known", Validators{Length: -1}, Validators{Length: -1}, false, false, false},
	} {
		for _, pair := range [][2]Validators{{c.old, c.new}, {c.new, c.old}} {
			v, w := pair[0], pair[1]
			if v.EqualStrong(w) != c.equal || v.Contradicts(w) != c.contradiction {
				t.Errorf("%s: equal %v, contradiction %v", c.name, v.EqualStrong(w), v.Contradicts(w))
			}
			if !c.equal && v.OverlapProves(w) != c.byOverlap {
				t.Errorf("%s: overlap proves %v", c.name, v.OverlapProves(w))
			}
		}
	}
}

func TestDatesCompareAsInstants(t *testing.T) {
	if !sameDate(date1, "Sunday, 06-Nov-94 08:49:37 GMT") || sameDate(date1, date2) || !sameDate("x", "x") || sameDate("x", date1) {
		t.Error("wrong comparison")
	}
}
