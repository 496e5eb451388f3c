// Interim responses (RFC 9110 §15.2) that break off.

package http1

import "bytes"

// EndInterim returns octets that end the interim response whose head begins with begun, so that the final one can follow.
// They add nothing to what its server has said: reason phrases mean nothing (RFC 9112 §4), fields that have not begun are
// left out, and where the status code itself breaks off it becomes 100, which says no more than that the request has arrived.
// ok is false where begun breaks off inside a field line, of which nobody can know how it goes on, or begins another message.
func EndInterim(begun []byte) (end string, ok bool) {
	const codeEnd = len("HTTP/1.1 100")
	line, _, ended := bytes.Cut(begun, []byte("\n"))
	line, cr := bytes.CutSuffix(line, []byte("\r"))
	if len(line) < codeEnd-2 || line[codeEnd-4] != ' ' || line[codeEnd-3] != '1' || bytes.IndexByte(line, '\r') >= 0 {
		return "", false
	}
	if _, ok := parseVersion(string(line[:codeEnd-4])); !ok {
		return "", false
	}
	switch {
	case len(line) < codeEnd:
		const rest = "00 Continue\r\n\r\n"
		if ended || cr || string(line[codeEnd-2:]) != rest[:len(line)-(codeEnd-2)] {
			return "", false
		}
		return rest[len(line)-(codeEnd-2):], true
	case !isDigits(string(line[codeEnd-2:codeEnd])) || string(line[codeEnd-3:codeEnd]) == "101",
		len(line) > codeEnd && line[codeEnd] != ' ':
		return "", false
	case !ended && cr:
		return "\n\r\n", true
	case !ended && len(line) == codeEnd:
		return " \r\n\r\n", true
	case !ended:
		return "\r\n\r\n", true
	}
	last := begun[bytes.LastIndexByte(begun, '\n')+1:]
	switch {
	case len(last) == 0:
		return "\r\n", true
	case len(last) == 1 && last[0] == '\r':
		return "\n", true
	case last[len(last)-1] == '\r':
		return "\n\r\n", true
	}
	return "", false
}
