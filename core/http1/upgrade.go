// Requests that offer to change the connection's protocol (RFC 9110 §7.8).

package http1

import "strings"

// AwaitsUpgrade reports whether it is the answer that decides if the request is one that HTTP/1 answers: it asks for a protocol
// which is not HTTP, such as WebSocket, and a server that does not speak it may answer a repetition without that offer
// otherwise. With h2c (RFC 7540 §3.2) the answer is the same in both protocols.
//
// Once the answer has come, and is not 101, the request is like any other.
func (r *Request) AwaitsUpgrade() bool {
	for _, v := range r.Values("Upgrade") {
		for member := range strings.SplitSeq(v, ",") {
			if protocol := trimOWS(member); protocol != "" && !strings.EqualFold(protocol, "h2c") {
				return true
			}
		}
	}
	return false
}

// offersUpgrade reports whether a server may answer with another protocol.
func (r *Request) offersUpgrade() bool { return r.Has("Upgrade") || r.Has("HTTP2-Settings") }

// isUpgradeOffer reports whether the field belongs to the offer alone.
func isUpgradeOffer(name string) bool {
	return strings.EqualFold(name, "Upgrade") || strings.EqualFold(name, "HTTP2-Settings")
}
