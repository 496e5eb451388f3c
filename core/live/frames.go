// Where a decoder can begin in the middle of a stream: what ISO/IEC 11172-3 (MPEG audio), 13818-7 (ADTS) and 13818-1 (transport stream) and
// RFC 3533 (Ogg) have for that.
package live

import "bytes"

// frames is how many frames in a row make a boundary certain.
const frames = 3

// boundary returns where in the octets of a stream of the media type the first frame begins, -1 if none is found.
func boundary(kind string, p []byte) int {
	var length func([]byte) int // of the frame that begins here, 0 if none does
	switch kind {
	case "audio/mpeg", "audio/mp3":
		length = mpegFrame
	case "audio/aac", "audio/aacp", "audio/x-aac":
		length = adtsFrame
	case "video/mp2t":
		length = tsPacket
	case "application/ogg", "audio/ogg", "video/ogg":
		if n, first := oggPage(p); n > 0 && first {
			return 0 // a stream of its own, with its headers
		}
		return -1
	default:
		return -1
	}
	for at := range p {
		if inRow(p[at:], length) {
			return at
		}
	}
	return -1
}

func inRow(p []byte, length func([]byte) int) bool {
	for range frames {
		n := length(p)
		if n <= 0 || n >= len(p) {
			return false
		}
		p = p[n:]
	}
	return true
}

// mpegRates are the bit rates in kbit/s of version 1 and 2, layers I, II, III.
var mpegRates = [2][3][16]int{
	{{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}},
	{{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256}, {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}},
}

func mpegFrame(p []byte) int {
	if len(p) < 4 || p[0] != 0xff || p[1]&0xe0 != 0xe0 {
		return 0
	}
	version, layer, rate, sampling := p[1]>>3&3, 4-int(p[1]>>1&3), p[2]>>4, p[2]>>2&3 // version 3 is 1, 2 is 2, 0 is 2.5
	if version == 1 || layer == 4 || sampling == 3 {
		return 0
	}
	second, hertz := 0, [3]int{44100, 48000, 32000}[sampling]
	if version != 3 {
		second, hertz = 1, hertz/2
	}
	if version == 0 {
		hertz /= 2
	}
	bits, padding := mpegRates[second][layer-1][rate]*1000, int(p[2]>>1&1)
	switch {
	case bits == 0:
		return 0
	case layer == 1:
		return (12*bits/hertz + padding) * 4
	case layer == 3 && second == 1:
		return 72*bits/hertz + padding
	}
	return 144*bits/hertz + padding
}

func adtsFrame(p []byte) int {
	if len(p) < 7 || p[0] != 0xff || p[1]&0xf6 != 0xf0 || p[2]>>2&15 > 12 {
		return 0
	}
	if n := int(p[3]&3)<<11 | int(p[4])<<3 | int(p[5])>>5; n >= 7 {
		return n
	}
	return 0
}

func tsPacket(p []byte) int {
	if len(p) > 0 && p[0] == 0x47 {
		return 188
	}
	return 0
}

// oggPage returns how long the page is that begins here, 0 if none does, and whether it is the first of a logical stream.
func oggPage(p []byte) (n int, first bool) {
	if len(p) < 27 || string(p[:4]) != "OggS" || p[4] != 0 || len(p) < 27+int(p[26]) {
		return 0, false
	}
	n = 27 + int(p[26])
	for _, length := range p[27:n] {
		n += int(length)
	}
	return n, p[5]&2 != 0
}

// headers is how many octets at the beginning of a new connection's content are the headers of its stream, which every listener is sent
// first: in Ogg, whole pages with the first of each logical stream, and with those at which no sound or picture has ended yet.
func headers(kind string, p []byte) (n int) {
	if !bytes.Contains([]byte(kind), []byte("ogg")) {
		return 0
	}
	for {
		length, first := oggPage(p[n:])
		if length == 0 || length > len(p)-n {
			return n
		}
		granule := p[n+6 : n+14]
		if !first && !bytes.Equal(granule, make([]byte, 8)) && !bytes.Equal(granule, bytes.Repeat([]byte{0xff}, 8)) {
			return n
		}
		n += length
	}
}
