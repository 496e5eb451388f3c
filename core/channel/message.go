// Package channel speaks the core's side of cgo/abi.h: the messages on the socket pair between the
// shim and the core, and the counters they share. abi.h is the reference for every kind and field.
package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"midstream/core/digest"
)

// Kind is enum ms_kind.
type Kind uint16

// Needs is enum ms_needs: which server a TLS session can be continued with.
type Needs uint32

// Flags is enum ms_flag.
type Flags uint16

// Phase is enum ms_phase: where in a response the program stands.
type Phase uint32

// Chunked reports whether the phase is one of content framed by chunks.
func (p Phase) Chunked() bool { return p >= PhaseChunkSize && p <= PhaseTrailer }

// Message is struct ms_message with its data. Data is the receiver's to keep.
type Message struct {
	Kind     Kind
	Flags    Flags
	Slot     uint32
	Stream   uint64
	Exchange uint64
	A, B     int64
	Arming   uint64
	Data     []byte
}

var order = binary.NativeEndian

func (m *Message) encode() []byte {
	b := make([]byte, headerSize, headerSize+len(m.Data))
	h := header{Kind: uint16(m.Kind), Flags: uint16(m.Flags), Slot: m.Slot, Stream: m.Stream, Exchange: m.Exchange, A: m.A, B: m.B, Arming: m.Arming}
	h.encode(b)
	return append(b, m.Data...)
}

var errShort = errors.New("a message from the shim is too short")

func decode(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, errShort
	}
	var h header
	h.decode(b)
	return Message{Kind: Kind(h.Kind), Flags: Flags(h.Flags), Slot: h.Slot, Stream: h.Stream, Exchange: h.Exchange, A: h.A, B: h.B,
		Arming: h.Arming, Data: append([]byte(nil), b[headerSize:]...)}, nil
}

// Opening is struct ms_opened.
type Opening struct {
	FD          int
	Domain      int
	Protocol    int
	Peer, Local netip.AddrPort
	// ForPID and ForFD are the process that the connection is made for, and its descriptor; 0: it is the process's own.
	ForPID, ForFD int
	// Dialogue: it is an FTP control connection. Control is the stream of the one whose data connection it is, 0: it is none.
	Dialogue bool
	Control  uint64
}

// ParseOpening reads the data of an Opened message.
func ParseOpening(b []byte) (Opening, error) {
	if len(b) < wireOpeningSize {
		return Opening{}, errShort
	}
	var w wireOpening
	w.decode(b)
	return Opening{FD: int(w.FD), Domain: int(w.Domain), Protocol: int(w.Protocol), Peer: parseName(w.Peer), Local: parseName(w.Local),
		ForPID: int(w.CarriedPid), ForFD: int(w.CarriedFD), Dialogue: w.Dialogue != 0, Control: w.Control}, nil
}

// Encode returns it as a message's data.
func (o Opening) Encode() []byte {
	b := make([]byte, wireOpeningSize)
	w := wireOpening{FD: int32(o.FD), Domain: int32(o.Domain), Protocol: int32(o.Protocol), Peer: putName(o.Peer), Local: putName(o.Local),
		CarriedPid: int32(o.ForPID), CarriedFD: int32(o.ForFD), Dialogue: number(o.Dialogue), Control: o.Control}
	w.encode(b)
	return b
}

const inet, inet6 = 2, 10

// sockaddr is the room for a struct sockaddr_in or sockaddr_in6.
type sockaddr = [28]byte

// parseName reads a socket's name; IPv4-mapped addresses become IPv4.
func parseName(b sockaddr) netip.AddrPort {
	port := binary.BigEndian.Uint16(b[2:])
	switch order.Uint16(b[0:]) {
	case inet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case inet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

func putName(name netip.AddrPort) (b sockaddr) {
	binary.BigEndian.PutUint16(b[2:], name.Port())
	switch addr := name.Addr(); {
	case addr.Is4():
		order.PutUint16(b[0:], inet)
		copy(b[4:8], addr.AsSlice())
	case addr.Is6():
		order.PutUint16(b[0:], inet6)
		copy(b[8:24], addr.AsSlice())
	}
	return b
}

// Position is struct ms_position: exactly where the program stands in a response.
type Position struct {
	Received    int64
	ChunkLeft   int64
	ChunkSize   int64
	ChunkDigits int
	Phase       Phase
	Line        int
	CR          bool // the trailer line so far ends in CR
	// Unchunked is, for the connection that was replaced, where it was armed with a Chunk, how many octets of its
	// chunk have not been read; with 0, the line end of one is next.
	Unchunked int64
}

func (w *wirePosition) position() Position {
	return Position{
		Received: int64(w.Received), ChunkLeft: int64(w.ChunkLeft), ChunkSize: int64(w.ChunkSize), ChunkDigits: int(w.ChunkDigits),
		Phase: Phase(w.Phase), Line: int(w.Line), CR: w.CR != 0, Unchunked: int64(w.Unchunked),
	}
}

// ParsePosition reads the data of a Moved message.
func ParsePosition(b []byte) (Position, error) {
	if len(b) < wirePositionSize {
		return Position{}, errShort
	}
	var w wirePosition
	w.decode(b)
	return w.position(), nil
}

func (p Position) wire() wirePosition {
	return wirePosition{
		Received: uint64(p.Received), ChunkLeft: uint64(p.ChunkLeft), ChunkSize: uint64(p.ChunkSize), ChunkDigits: uint32(p.ChunkDigits),
		Phase: uint32(p.Phase), Line: uint32(p.Line), CR: number(p.CR), Unchunked: uint64(p.Unchunked),
	}
}

// Encode returns it as a message's data.
func (p Position) Encode() []byte {
	b := make([]byte, wirePositionSize)
	w := p.wire()
	w.encode(b)
	return b
}

// SocketInfo is struct ms_info.
type SocketInfo struct {
	Position
	Forked      bool
	PastHooks   bool
	Inode       uint64
	Unread      int
	RTT, RTTVar time.Duration
	Retransmits int
	OutOfOrder  int // segments received that could not be delivered yet
	// ReceiveRTT is the kernel's estimate from the arrivals alone: RTT stands still while nothing is sent. A sender that
	// does not fill the window makes it longer than the path is. 0 unknown.
	ReceiveRTT time.Duration
}

// ParseInfo reads the data of an Info message.
func ParseInfo(b []byte) (SocketInfo, error) {
	if len(b) < wireInfoSize {
		return SocketInfo{}, errShort
	}
	var w wireInfo
	w.decode(b)
	return SocketInfo{
		Position: w.Position.position(), Forked: w.Forked != 0, PastHooks: w.PastHooks != 0, Inode: w.Inode, Unread: int(w.Unread),
		RTT: microseconds(w.RTTUs), RTTVar: microseconds(w.RTTVarUs), Retransmits: int(w.Retransmits), OutOfOrder: int(w.OutOfOrder),
		ReceiveRTT: microseconds(w.ReceiveRTTUs),
	}, nil
}

// Encode returns it as a message's data.
func (i SocketInfo) Encode() []byte {
	b := make([]byte, wireInfoSize)
	w := wireInfo{
		Position: i.Position.wire(), Forked: number(i.Forked), PastHooks: number(i.PastHooks), Inode: i.Inode, Unread: uint32(i.Unread),
		RTTUs: uint32(i.RTT.Microseconds()), RTTVarUs: uint32(i.RTTVar.Microseconds()), Retransmits: uint32(i.Retransmits),
		OutOfOrder: uint32(i.OutOfOrder), ReceiveRTTUs: uint32(i.ReceiveRTT.Microseconds()),
	}
	w.encode(b)
	return b
}

func microseconds(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }

// ParseName reads the data of a Name message.
func ParseName(b []byte) (name string, addrs []netip.Addr) {
	for i, c := range b {
		if c == 0 {
			name = string(b[:i])
			for rest := b[i+1:]; len(rest) >= 16; rest = rest[16:] {
				addrs = append(addrs, netip.AddrFrom16([16]byte(rest[:16])).Unmap())
			}
			return name, addrs
		}
	}
	return "", nil
}

// Snapshot is what a slot's counters said at one moment.
type Snapshot struct {
	Stream   uint64
	Exchange uint64
	Received int64 // octets of content
	Head     int64 // octets of the head
	Phase    Phase
}

// Guard is enum ms_guard.
type Guard uint32

// Counters are the shared ones. Safe for concurrent use.
type Counters interface {
	// Read returns a consistent snapshot; ok is false if the slot has another stream by now.
	Read(slot uint32, stream uint64) (s Snapshot, ok bool)
	// Quiet returns the number of an exchange of the stream's that no message has told of, 0 if there is none, and whether it is
	// over. An Ask has it told.
	Quiet(slot uint32, stream uint64) (exchange uint64, over bool)
	// Guard asks the shim to hold the program when the stream's connection fails.
	Guard(slot uint32, stream uint64, g Guard)
	// Keep asks the shim to keep a tail of the content in any case, or only where that costs little.
	Keep(slot uint32, stream uint64, always bool)
	// Tail returns the last octets of the exchange's content before the offset end, at most limit, as
	// far as they are kept.
	Tail(slot uint32, stream, exchange uint64, end int64, limit int) []byte
	// Digest returns that of the first `at` octets of the exchange's content; ok is false where none is made.
	Digest(slot uint32, stream, exchange uint64) (at int64, d digest.Digest, ok bool)
}

// Texts splits data into n texts that NULs end; those that are missing are empty.
func Texts(data []byte, n int) []string {
	list := make([]string, n)
	for i := range list {
		text, rest, _ := bytes.Cut(data, []byte{0})
		list[i], data = string(text), rest
	}
	return list
}
