// What a hand-over is to be: struct ms_handover.
package channel

import "net/netip"

// What is enum ms_what: what is put on the descriptor.
type What uint32

// Place is enum ms_place: where in the response it goes on.
type Place uint32

// When is enum ms_when.
type When uint32

// Former is enum ms_former: what becomes of the connection that was there.
type Former uint32

// Handover is struct ms_handover. The zero value puts a socket there, when the program has come to the content offset 0, and
// resets the former connection.
type Handover struct {
	What   What
	Place  Place
	When   When
	Former Former
	At     int64 // of the place
	Until  int64 // it is read up to this content offset only; 0: as far as it goes
	// Chunk is not 0 where content comes in chunks, which are not for the program: so many octets of the present one are to
	// come. With Until only.
	Chunk int64
	// Sent is the last exchange whose request has been sent on it.
	Sent uint64
	Twin int64 // of a Session

	Left     int64 // of a Session: octets of content from At on to the response's end, -1 unknown
	Longer   bool  // the answer goes on after Left
	Whole    bool  // it is that to the request itself: its trailer section is that of the response
	Reframed bool  // of a Session: its answer is to be delivered in the framing that the program has begun to read
	Anywhere bool  // in the head, wherever in it the program stands

	// Of an FTP control connection: over which interface its next data connections lead, 0: as the program says, and to which host.
	Device int
	Server netip.AddrPort
}

// Encode returns it as the data of an Arm message.
func (h Handover) Encode() []byte {
	if h.Until == 0 {
		h.Until = NoStop
	}
	b := make([]byte, wireHandoverSize)
	w := wireHandover{
		What: uint32(h.What), Place: uint32(h.Place), When: uint32(h.When), Former: uint32(h.Former),
		At: h.At, Until: h.Until, Chunk: uint64(h.Chunk), Sent: h.Sent, Twin: uint64(h.Twin),
		Answer:   wireAnswer{Left: h.Left, Longer: number(h.Longer), Whole: number(h.Whole)},
		Reframed: number(h.Reframed), Anywhere: number(h.Anywhere), Device: uint32(h.Device),
	}
	if h.Server.IsValid() {
		w.Server = putName(h.Server)
	}
	w.encode(b)
	return b
}

// ParseHandover reads the data of an Arm message.
func ParseHandover(b []byte) (Handover, error) {
	if len(b) < wireHandoverSize {
		return Handover{}, errShort
	}
	var w wireHandover
	w.decode(b)
	if w.Until == NoStop {
		w.Until = 0
	}
	return Handover{
		What: What(w.What), Place: Place(w.Place), When: When(w.When), Former: Former(w.Former),
		At: w.At, Until: w.Until, Chunk: int64(w.Chunk), Sent: w.Sent, Twin: int64(w.Twin),
		Left: w.Answer.Left, Longer: w.Answer.Longer != 0, Whole: w.Answer.Whole != 0,
		Reframed: w.Reframed != 0, Anywhere: w.Anywhere != 0, Device: int(w.Device), Server: parseName(w.Server),
	}, nil
}

func number(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}
