// Go names for C ones.
package main

import "strings"

// words are written otherwise than with a capital at their beginning.
var words = map[string]string{"TLS": "TLS", "HTTP": "HTTP", "BIO": "BIO", "WR": "WR", "RD": "RD", "FD": "FD", "FTP": "FTP", "DNS": "DNS", "LF": "LF", "CR": "CR",
	"RTT": "RTT", "RTTVAR": "RTTVar"}

// camel makes a Go name of a C one: TLS_ENDED becomes TLSEnded.
func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "_") {
		if other := words[word]; other != "" {
			b.WriteString(other)
		} else {
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return b.String()
}
