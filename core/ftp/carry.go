package ftp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"

	"midstream/core/guard"
)

// carry has the program's dialogue go on, at the other end of program, over the session, once these commands have been said again; answered:
// the program has read the last word on its transfer. What the server says of its own addresses becomes what the program believes: believed, where that is an IPv4 address. It returns at once.
func (s *session) carry(program net.Conn, unanswered [][]byte, answered bool, believed netip.Addr) {
	guard.Go(func() {
		defer s.conn.CloseWrite()
		for _, line := range unanswered {
			if _, err := s.conn.Write(append(line, "\r\n"...)); err != nil {
				return
			}
		}
		io.Copy(onlyWriter{s.conn}, program)
	})
	guard.Go(func() {
		defer s.conn.Close()
		defer program.Close()
		if answered {
			if _, err := s.reply(false); err != nil {
				return
			}
		}
		for {
			line, err := s.in.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				program.Write(line)
				return
			}
			if _, err := program.Write(rewrite(line, believed)); err != nil {
				return
			}
		}
	})
}

// onlyWriter keeps io.Copy from looking for more than Write.
type onlyWriter struct{ io.Writer }

// rewrite puts the address that the program believes in into a 227.
func rewrite(line []byte, believed netip.Addr) []byte {
	if !believed.Is4() || len(line) < 4 || string(line[:4]) != "227 " {
		return line
	}
	at, from, to, ok := Passive(string(line[4:]))
	if !ok {
		return line
	}
	a, port := believed.As4(), at.Port()
	address := fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], port>>8, port&0xff)
	return []byte(string(line[:4+from]) + address + string(line[4+to:]))
}
