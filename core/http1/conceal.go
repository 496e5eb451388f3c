// Heads without what authenticates whoever sent them.

package http1

import (
	"bytes"
	"slices"
)

// concealed are the names of the fields whose values are kept out of strings, which nobody can overwrite.
var concealed = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// credentials calls each with the index in concealed, and the octets, of the values in a head: one call for each line of a value that
// is folded (RFC 9112 §5.2). The scheme of an Authorization field (RFC 9110 §11.4) is none of them; a value in one word is a
// scheme only where that authenticates the connection, and else a secret that lacks one.
func credentials(head []byte, each func(kind int, value []byte)) {
	kind, scheme := -1, false // of the present field; its scheme is still to come
	for len(head) > 0 {
		line := head
		if end := bytes.IndexByte(head, '\n'); end >= 0 {
			line, head = head[:end], head[end+1:]
		} else {
			head = nil
		}
		value := line
		if len(line) == 0 || line[0] != ' ' && line[0] != '\t' {
			colon := bytes.IndexByte(line, ':')
			kind = slices.IndexFunc(concealed, func(is string) bool {
				return colon >= 0 && bytes.EqualFold(bytes.TrimRight(line[:colon], " \t"), []byte(is))
			})
			value, scheme = line[colon+1:], true
		}
		value = bytes.Trim(value, " \t\r")
		if kind < 0 || len(value) == 0 {
			continue
		}
		if scheme && concealed[kind] != "Cookie" {
			if end := bytes.IndexAny(value, " \t"); end >= 0 {
				value = value[end+1:]
			} else if authenticatesConnection(value) {
				value = nil
			}
		}
		scheme = false
		each(kind, value)
	}
}

// Conceal returns a copy of a head in which an asterisk stands for each octet of a cookie or of credentials. It can be parsed and
// repeated as the head itself; Reveal puts the values back.
func Conceal(head []byte) []byte {
	c := bytes.Clone(head)
	credentials(c, func(_ int, value []byte) {
		for i := range value {
			value[i] = '*'
		}
	})
	return c
}

// Reveal puts the values of a head into another one that was made from what Conceal has returned for it.
func Reveal(made, head []byte) {
	var values [3][][]byte
	credentials(head, func(kind int, value []byte) { values[kind] = append(values[kind], value) })
	credentials(made, func(kind int, value []byte) {
		left := values[kind]
		if len(left) > 0 && len(left[0]) == len(value) && len(bytes.Trim(value, "*")) == 0 {
			copy(value, left[0])
			values[kind] = left[1:]
		}
	})
}
