// What a hand-over is to be: struct ms_handover.
package channel

// What is enum ms_what: what is put on the descriptor.
type What uint32

const (
	Socket  What = iota // a connection to a server
	Pair                // one end of a pair that the core feeds
	Session             // a twin
)

// Place is enum ms_place: where in the response it goes on.
type Place uint32

const (
	InContent Place = iota // at an offset of the content
	InHead                 // after so many octets of the head
	InTrailer              // after so many octets of the head and the trailer section
	AtEnd                  // when the response has been read to its end, and no other is due
)

// When is enum ms_when.
type When uint32

const (
	Then When = iota // when the program has come to the place
	Now              // at once
)

// Former is enum ms_former: what becomes of the connection that was there.
type Former uint32

const (
	Reset Former = iota // it is of no more use
	Keep                // it is kept for a GiveUp
	Spare               // the core goes on with it
)

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
}

const handoverSize = 80

// Encode returns it as the data of an Arm message.
func (h Handover) Encode() []byte {
	b := make([]byte, handoverSize)
	order.PutUint32(b[0:], uint32(h.What))
	order.PutUint32(b[4:], uint32(h.Place))
	order.PutUint32(b[8:], uint32(h.When))
	order.PutUint32(b[12:], uint32(h.Former))
	order.PutUint64(b[16:], uint64(h.At))
	until := h.Until
	if until == 0 {
		until = NoStop
	}
	order.PutUint64(b[24:], uint64(until))
	order.PutUint64(b[32:], uint64(h.Chunk))
	order.PutUint64(b[40:], h.Sent)
	order.PutUint64(b[48:], uint64(h.Twin))
	order.PutUint64(b[56:], uint64(h.Left))
	order.PutUint32(b[64:], number(h.Longer))
	order.PutUint32(b[68:], number(h.Whole))
	order.PutUint32(b[72:], number(h.Reframed))
	order.PutUint32(b[76:], number(h.Anywhere))
	return b
}

func number(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}
