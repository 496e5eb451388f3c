// Heads without what authenticates whoever sent them.

package http1

import "bytes"

// concealed are the names of the fields whose values are kept out of strings, which nobody can overwrite.
var concealed = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// credentials calls each with the index in concealed, and the octets, of the values in a head. The scheme of an
// Authorization field (RFC 9110 §11.4) is none of them.
func credentials(head []byte, each func(kind int, value []byte)) {
	for len(head) > 0 {
		line := head
		if end := bytes.IndexByte(head, '\n'); end >= 0 {
			line, head = head[:end], head[end+1:]
		} else {
			head = nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		name, value := line[:colon], bytes.Trim(line[colon+1:], " \t\r")
		for kind, is := range concealed {
			if !bytes.EqualFold(name, []byte(is)) {
				continue
			}
			if is != "Cookie" {
				_, value, _ = bytes.Cut(value, []byte(" "))
			}
			each(kind, value)
		}
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
