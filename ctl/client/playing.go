// What players have been handed, in play time.
package client

import (
	"bytes"
	"fmt"
	"time"

	"midstream/core/control"
	"midstream/core/display"
)

// Playing says of each session whose content is a film how much of that its program has been handed.
func Playing(list []control.Session) []byte {
	var b bytes.Buffer
	for _, s := range list {
		if s.Play == nil {
			continue
		}
		fmt.Fprintf(&b, "%s is a film of which %v have come", display.Line(s.ID), playTime(s.Play.HandedS))
		if s.Play.BufferS != nil {
			fmt.Fprintf(&b, "; a player that has played ever since has %v left", playTime(*s.Play.BufferS))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func playTime(seconds float64) time.Duration {
	return time.Duration(min(max(seconds, 0), 1e9) * float64(time.Second)).Round(100 * time.Millisecond)
}
