package ftp

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxLine = 4096      // octets of one line
	maxText = 256 << 10 // octets of one reply
)

// lines cuts octets into lines. The zero value has none. Of a line that is too long, the beginning is kept.
type lines struct {
	line []byte
}

// each calls f with each line that the octets end, without its end.
func (l *lines) each(octets []byte, f func(line []byte)) {
	for len(octets) > 0 {
		n := bytes.IndexByte(octets, '\n')
		part := octets
		if n >= 0 {
			part = octets[:n]
		}
		l.line = append(l.line, part[:min(len(part), maxLine-len(l.line))]...)
		if n < 0 {
			return
		}
		octets = octets[n+1:]
		f(bytes.TrimSuffix(l.line, []byte("\r")))
		clear(l.line)
		l.line = l.line[:0]
	}
}

// reply is one that has ended (RFC 959 §4.2), or the part of it that has come.
type reply struct {
	code int
	text []string // its lines, as far as there is room for them
	size int
	more bool // it is one of several lines, and has not ended
}

// add takes the next line. True when the reply has ended; bad: the line begins none.
func (r *reply) add(line []byte) (ended, bad bool) {
	code, sep := codeOf(line)
	if !r.more {
		if code == 0 {
			return false, true
		}
		*r = reply{code: code, more: sep == '-'}
	}
	if r.size += len(line) + 1; r.size <= maxText {
		r.text = append(r.text, string(line))
	}
	if r.more && code == r.code && sep == ' ' {
		r.more = false
	}
	return !r.more, false
}

// codeOf returns a line's code, 0 if it has none, and what follows it.
func codeOf(line []byte) (code int, sep byte) {
	if len(line) < 3 || line[0] < '1' || line[0] > '6' {
		return 0, 0
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, 0
		}
		code = 10*code + int(c-'0')
	}
	if len(line) == 3 {
		return code, ' '
	}
	if sep = line[3]; sep != ' ' && sep != '-' {
		return 0, 0
	}
	return code, sep
}

// last is the reply's last line, without the code.
func (r *reply) last() string {
	if len(r.text) == 0 {
		return ""
	}
	line := r.text[len(r.text)-1]
	return strings.TrimSpace(line[min(len(line), 4):])
}

// String is what is shown of it.
func (r *reply) String() string {
	text := strings.TrimSpace(strconv.Itoa(r.code) + " " + r.last())
	return strings.ToValidUTF8(text[:min(len(text), 120)], "?")
}

// restarts reports whether the answer to FEAT has "REST STREAM" (RFC 3659 §5.4).
func (r *reply) restarts() bool {
	for _, line := range r.text {
		if strings.EqualFold(strings.TrimSpace(line), "REST STREAM") {
			return true
		}
	}
	return false
}

// Passive finds the address in what follows the code of a 227 (RFC 959 §4.1.2): at text[from:to].
func Passive(text string) (at netip.AddrPort, from, to int, ok bool) {
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' || i > 0 && text[i-1] >= '0' && text[i-1] <= '9' {
			continue
		}
		var n [6]byte
		end, found := i, 0
		for ; found < 6; found++ {
			if found > 0 {
				if end >= len(text) || text[end] != ',' {
					break
				}
				end++
			}
			begin := end
			for end < len(text) && text[end] >= '0' && text[end] <= '9' {
				end++
			}
			value, err := strconv.ParseUint(text[begin:end], 10, 8)
			if err != nil {
				break
			}
			n[found] = byte(value)
		}
		if found == 6 {
			port := uint16(n[4])<<8 | uint16(n[5])
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), port), i, end, port > 0
		}
	}
	return netip.AddrPort{}, 0, 0, false
}

// ExtendedPassive finds the port in what follows the code of a 229 (RFC 2428 §3).
func ExtendedPassive(text string) (port uint16, ok bool) {
	_, inside, _ := strings.Cut(text, "(")
	if len(inside) < 5 || inside[1] != inside[0] || inside[2] != inside[0] {
		return 0, false
	}
	end := 3
	for end < len(inside) && inside[end] >= '0' && inside[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(inside[3:end], 10, 16)
	return uint16(n), err == nil && n > 0 && end < len(inside) && inside[end] == inside[0]
}

// sizeIn finds how many octets a server sends, by what most say when they begin: "(1234 bytes)"; -1 if it does not say.
func sizeIn(text string) int64 {
	at := strings.LastIndexByte(text, '(')
	if at < 0 {
		return -1
	}
	number, rest, _ := strings.Cut(text[at+1:], " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || !strings.HasPrefix(rest, "bytes)") {
		return -1
	}
	return n
}
