// Package recording has what midstreamctl record writes down of downloads, and the picture that midstreamctl plot makes of it.
package recording

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"midstream/core/control"
)

// Version is the form of the file, which its first line names.
const Version = 1

// Entry is a line of a record.
type Entry struct {
	Record int            `json:"midstream_record,omitempty"` // of the first line: Version
	Begun  time.Time      `json:"begun,omitzero"`             // likewise
	At     float64        `json:"t"`                          // seconds since then
	Sample []Sample       `json:"sessions,omitempty"`
	Event  *control.Event `json:"event,omitempty"`
}

// Sample is a download at one moment.
type Sample struct {
	ID       string           `json:"id"`
	Name     string           `json:"name"`
	Command  string           `json:"command"`
	Received int64            `json:"received"`
	Length   *int64           `json:"length,omitempty"`
	Over     string           `json:"interface"`
	Parts    map[string]int64 `json:"parts"` // octets by network, of all exchanges of the session
	Held     bool             `json:"held,omitempty"`
}

// maxRecord bounds a line of a record, and maxEntries how many are read.
const (
	maxRecord  = 4 << 20
	maxEntries = 1 << 20
)

// Read reads what midstreamctl record has written. A last line that is cut off is left out.
func Read(in io.Reader) (begun time.Time, all []Entry, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		var one Entry
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			if n > 1 && !lines.Scan() {
				break
			}
			return begun, nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case n == 1 && one.Record != Version:
			return begun, nil, errors.New("this is no record of midstreamctl record, or of another version")
		case n == 1:
			begun = one.Begun
		case len(all) == maxEntries:
			return begun, nil, errors.New("it is too long to be drawn")
		default:
			all = append(all, one)
		}
	}
	if begun.IsZero() && lines.Err() == nil {
		return begun, nil, errors.New("it is empty")
	}
	return begun, all, lines.Err()
}
