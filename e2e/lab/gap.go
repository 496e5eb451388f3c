// Measures stalls as a program sees them: the pauses between the reads of a download.

package lab

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Gap is a pause between two reads.
type Gap struct {
	From   time.Time // the end of the read before
	Length time.Duration
	Offset int64 // octets of content that had been read
}

// Gaps is what e2e/clients/gapclient.c reports about a download.
type Gaps struct {
	Status int   // of the response
	Octets int64 // of content
	Begun  time.Time
	First  time.Duration // from the connect call to the first octet of the response
	Total  time.Duration // from the connect call to the end
	List   []Gap         // the longest, at most 512 of them, in the order of time
}

// Longest is the longest pause of the whole download.
func (g Gaps) Longest() Gap { return g.LongestBetween(time.Time{}, g.Begun.Add(g.Total)) }

// LongestBetween is the longest pause of which some part lies between the two times.
func (g Gaps) LongestBetween(from, to time.Time) Gap {
	var longest Gap
	for _, gap := range g.List {
		if gap.Length > longest.Length && gap.From.Before(to) && gap.From.Add(gap.Length).After(from) {
			longest = gap
		}
	}
	return longest
}

// GapClient is the command of a download of http://host:port/path into a file, for Command or Midstream; ParseGaps reads its standard output.
func (l *Lab) GapClient(file, host string, port int, path string) []string {
	l.t.Helper()
	return []string{l.CC("gapclient"), "-o", file, host, strconv.Itoa(port), path}
}

// GapClientTLS is the same of https://host:port/path, verified by the authority in the file ca.
func (l *Lab) GapClientTLS(ca, file, host string, port int, path string) []string {
	l.t.Helper()
	return []string{l.CC("gapclient", "-DTLS", "-l:libssl.so.3"), "-c", ca, "-o", file, host, strconv.Itoa(port), path}
}

// ParseGaps reads the standard output of gapclient; the test fails if it is something else.
func ParseGaps(t T, r Result) Gaps {
	t.Helper()
	var raw struct {
		Status int
		Octets int64
		Begun  int64 `json:"begun_ns"`
		First  int64 `json:"first_ns"`
		Total  int64 `json:"total_ns"`
		Gaps   []struct {
			At     int64 `json:"at_ns"`
			Length int64 `json:"length_ns"`
			Offset int64
		}
	}
	if err := json.NewDecoder(strings.NewReader(r.Stdout)).Decode(&raw); err != nil {
		t.Fatalf("lab: no report of gapclient (%v) in %v", err, r)
	}
	g := Gaps{Status: raw.Status, Octets: raw.Octets, Begun: time.Unix(0, raw.Begun),
		First: time.Duration(raw.First), Total: time.Duration(raw.Total)}
	for _, gap := range raw.Gaps {
		g.List = append(g.List, Gap{From: g.Begun.Add(time.Duration(gap.At)), Length: time.Duration(gap.Length), Offset: gap.Offset})
	}
	return g
}
