// MPEG-TS: the presentation time stamps (PTS) of its packets, or where there are none, its clock (PCR).
package playtime

import "time"

const (
	packet   = 188 // octets
	syncByte = 0x47
	ticks    = 90_000         // a second, of PTS and of PCR's base
	wrap     = int64(1) << 33 // both begin again there
)

// synchronise returns where the first packet begins: from there on, every one begins as packets do, four at least. -1: it is no MPEG-TS.
func synchronise(octets []byte) int {
	for first := 0; first < packet && first+4*packet < len(octets); first++ {
		at := first
		for at < len(octets) && octets[at] == syncByte {
			at += packet
		}
		if at >= len(octets) {
			return first
		}
	}
	return -1
}

// transport is a film in this format: of several streams in it, video counts, or else what there is.
type transport struct {
	known bool
	video bool
	first int64 // ticks
	last  int64 // going on where they begin again
	next  int64 // content offset of the next packet, if none is lost
}

func (t *transport) feed(octets []byte, at int64) int64 {
	i := 0
	if t.next != at || at == 0 {
		i = synchronise(octets)
	}
	switch {
	case i < 0 && len(octets) <= 5*packet:
		return at // too little to tell
	case i < 0:
		return at + int64(len(octets))
	}
	for ; i+packet <= len(octets) && octets[i] == syncByte; i += packet {
		t.packet(octets[i : i+packet])
	}
	if i+packet <= len(octets) {
		return at + int64(len(octets)) // it is not what it seemed to be, or has lost octets
	}
	t.next = at + int64(i)
	return t.next
}

func stamp(n int64) time.Duration {
	return time.Duration(n/ticks)*time.Second + time.Duration(n%ticks)*time.Second/ticks
}

func (t *transport) begins() time.Duration { return stamp(t.first) }

func (t *transport) reaches(int64) (time.Duration, bool) {
	return stamp(t.last), t.known
}

func (t *transport) packet(p []byte) {
	starts, adapts, carries := p[1]&0x40 != 0, p[3]&0x20 != 0, p[3]&0x10 != 0
	payload := p[4:]
	if p[1]&0x80 != 0 {
		return // damaged
	}
	if adapts {
		n := int(p[4]) + 1
		if n > len(payload) {
			return
		}
		if n >= 8 && p[5]&0x10 != 0 && !t.known {
			t.note(int64(p[6])<<25|int64(p[7])<<17|int64(p[8])<<9|int64(p[9])<<1|int64(p[10])>>7, false)
		}
		payload = payload[n:]
	}
	// A PES packet's head (§2.4.3.6) with a PTS, and not scrambled.
	if !starts || !carries || p[3]&0xc0 != 0 || len(payload) < 14 || payload[0] != 0 || payload[1] != 0 || payload[2] != 1 {
		return
	}
	video, audio := payload[3]&0xf0 == 0xe0, payload[3]&0xe0 == 0xc0 || payload[3] == 0xbd
	if b := payload[9:14]; (video || audio) && payload[6]&0xc0 == 0x80 && payload[7]&0x80 != 0 && b[0]&1 == 1 && b[2]&1 == 1 && b[4]&1 == 1 {
		t.note(int64(b[0]>>1&7)<<30|int64(b[1])<<22|int64(b[2]>>1)<<15|int64(b[3])<<7|int64(b[4]>>1), video)
	}
}

// note takes a time stamp of 33 bits.
func (t *transport) note(stamp int64, video bool) {
	switch {
	case !t.known || video && !t.video:
		t.known, t.video, t.first, t.last = true, t.video || video, stamp, stamp
		return
	case t.video && !video:
		return
	}
	later := (stamp - t.last) & (wrap - 1)
	if later >= wrap/2 {
		later -= wrap // frames are not shown in the order in which they come; or it has jumped back
	}
	if later > 0 || later < -int64(jump/time.Second)*ticks {
		t.last += later
	}
}
