// Heads composed from structure, so that fuzzing spends its time behind the parser
// rather than on octets that it refuses at once.

package http1

import "strings"

// composeHead makes a head of a start line and field lines that choice picks; "%" in
// a line stands for text. An odd choice ends its line in a bare LF.
func composeHead(starts, lines []string, choice []byte, text string) []byte {
	var b strings.Builder
	pick := func(from []string, c byte) {
		b.WriteString(strings.ReplaceAll(from[int(c>>1)%len(from)], "%", text))
		if c&1 == 0 {
			b.WriteByte('\r')
		}
		b.WriteByte('\n')
	}
	end := byte(0)
	if len(choice) == 0 {
		choice = []byte{0}
	}
	pick(starts, choice[0])
	for _, end = range choice[1:min(len(choice), 60)] {
		pick(lines, end)
	}
	pick([]string{""}, end)
	return []byte(b.String())
}

var requestLines = []string{
	"GET / HTTP/1.1", "GET /a?% HTTP/1.0", "GET http://h HTTP/1.1", "GET http://u:p@h:81?q HTTP/1.1", "GET https://[::1]/% HTTP/1.1",
	"GET http://%/ HTTP/1.1", "GET % HTTP/1.1", "GET ftp://h/ HTTP/1.1", "GET * HTTP/1.1", "CONNECT h:443 HTTP/1.1", "HEAD / HTTP/1.1", "% / HTTP/1.1",
}

var requestFields = []string{
	"Host: h:81", "host:h", "Host: %", "Range: bytes=0-", "rAnge: bytes=3-9\r\n ,", "Range: bytes=-5", "Range: bytes=%", "Range: %",
	"If-Range: \"x\"", "if-range: %", "Proxy-Authorization: Basic x", "proxy-connection: keep-alive", "Proxy-%: x", "Authorization: %",
	"A: b\r\n\tc\n  d", "A:", "Cookie: %", "%: %", "Connection: close, %", "Accept-Encoding: gzip", "Content-Length: 0", "X-Range: bytes=1-",
	"Upgrade: h2c", "Upgrade: %", "http2-settings: %", "Connection: keep-alive, Upgrade , %",
}

var statusLines = []string{
	"HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/1.1 206 %", "HTTP/1.1 416 ", "HTTP/1.1 304 x", "HTTP/1.1 100 Continue", "HTTP/1.1 101 x", "HTTP/1.1 %",
}

var responseFields = []string{
	"Content-Length: 5", "Content-Length: 5, 5", "Content-Length: %", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Transfer-Encoding: %",
	"Content-Range: bytes 0-4/10", "Content-Range: bytes */10", "Content-Range: bytes 5-9/*", "Content-Range: bytes %", "Content-Range: %",
	"ETag: \"a\"", "ETag: W/\"a\"", "ETag: %", "ETag: \"%\"", "Last-Modified: " + date1, "Last-Modified: %", "Date: " + date1, "Date: " + date2, "Date: %",
	"Content-Encoding: gzip", "Content-Encoding: %", "Connection: close", "A: b\r\n c",
}
