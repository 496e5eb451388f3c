// Package channel speaks the core's side of cgo/abi.h: the messages on the socket pair between the
// shim and the core, and the counters they share. abi.h is the reference for every kind and field.
package channel

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Kind is enum ms_kind.
type Kind uint16

// From the shim.
const (
	Opened Kind = iota + 1
	Request
	Response
	Done
	Left
	Closed
	Failed
	Moved
	Unmoved
	Resumed
	Info
	Name
	DNS
	TrailerOctets
	Stirs
)

// From the shim, of TLS. B is the twin's number where there is one.
const (
	TLS Kind = iota + 24
	TwinReady
	TwinFailed
	TwinOctets
	TwinSkipped
	TwinAsks
)

// From the core, of TLS.
const (
	Twin Kind = iota + 48
	TwinWrite
	TwinPeek
	TwinRead
	TwinSkip
	TwinClose
	TwinPut
	TwinShow
)

// From the core.
const (
	Arm Kind = iota + 32
	Disarm
	GiveUp
	Ask
	Release
)

// Flags is enum ms_flag.
type Flags uint16

const (
	Last Flags = 1 << iota
	Interim
	Held
	Kept
	Trailing
)

// Phase is enum ms_phase: where in a response the program stands.
type Phase uint32

const (
	PhaseIdle Phase = iota
	PhaseHead
	PhaseLength
	PhaseClose
	PhaseChunkSize
	PhaseChunkExt
	PhaseChunkSizeLF
	PhaseChunkData
	PhaseChunkDataCR
	PhaseChunkDataLF
	PhaseTrailer
	PhaseBroken
)

// Chunked reports whether the phase is one of content framed by chunks.
func (p Phase) Chunked() bool { return p >= PhaseChunkSize && p <= PhaseTrailer }

// NoStop is MS_NO_STOP.
const NoStop = int64(^uint64(0) >> 1)

const (
	headerSize = 48
	dataMax    = 8192

	// DataMax is the longest data that a message carries, in octets.
	DataMax = dataMax
)

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
	order.PutUint16(b[0:], uint16(m.Kind))
	order.PutUint16(b[2:], uint16(m.Flags))
	order.PutUint32(b[4:], m.Slot)
	order.PutUint64(b[8:], m.Stream)
	order.PutUint64(b[16:], m.Exchange)
	order.PutUint64(b[24:], uint64(m.A))
	order.PutUint64(b[32:], uint64(m.B))
	order.PutUint64(b[40:], m.Arming)
	return append(b, m.Data...)
}

var errShort = errors.New("a message from the shim is too short")

func decode(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, errShort
	}
	return Message{
		Kind:     Kind(order.Uint16(b[0:])),
		Flags:    Flags(order.Uint16(b[2:])),
		Slot:     order.Uint32(b[4:]),
		Stream:   order.Uint64(b[8:]),
		Exchange: order.Uint64(b[16:]),
		A:        int64(order.Uint64(b[24:])),
		B:        int64(order.Uint64(b[32:])),
		Arming:   order.Uint64(b[40:]),
		Data:     append([]byte(nil), b[headerSize:]...),
	}, nil
}

// Opening is struct ms_opened.
type Opening struct {
	FD          int
	Domain      int
	Protocol    int
	Peer, Local netip.AddrPort
}

// ParseOpening reads the data of an Opened message.
func ParseOpening(b []byte) (Opening, error) {
	const name = 28 // struct sockaddr_in6
	if len(b) < 16+2*name {
		return Opening{}, errShort
	}
	return Opening{
		FD:       int(int32(order.Uint32(b[0:]))),
		Domain:   int(int32(order.Uint32(b[4:]))),
		Protocol: int(int32(order.Uint32(b[8:]))),
		Peer:     parseName(b[16:]),
		Local:    parseName(b[16+name:]),
	}, nil
}

// parseName reads a struct sockaddr_in or sockaddr_in6; IPv4-mapped addresses become IPv4.
func parseName(b []byte) netip.AddrPort {
	const inet, inet6 = 2, 10
	port := binary.BigEndian.Uint16(b[2:])
	switch order.Uint16(b[0:]) {
	case inet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case inet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
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
	Head        int64
	Held        time.Duration // how long the gate was closed
	LastRead    int64         // CLOCK_MONOTONIC, nanoseconds
	// Unchunked is, for the connection that was replaced, where it was armed with the flag of that name, how many octets of its
	// chunk have not been read; with 0, the line end of one is next.
	Unchunked int64
}

const positionSize = 72

func parsePosition(b []byte) Position {
	return Position{
		Received:    int64(order.Uint64(b[0:])),
		ChunkLeft:   int64(order.Uint64(b[8:])),
		ChunkSize:   int64(order.Uint64(b[16:])),
		ChunkDigits: int(order.Uint32(b[24:])),
		Phase:       Phase(order.Uint32(b[28:])),
		Line:        int(order.Uint32(b[32:])),
		CR:          order.Uint32(b[36:]) != 0,
		Head:        int64(order.Uint64(b[40:])),
		Held:        time.Duration(order.Uint64(b[48:])),
		LastRead:    int64(order.Uint64(b[56:])),
		Unchunked:   int64(order.Uint64(b[64:])),
	}
}

// ParsePosition reads the data of a Moved message.
func ParsePosition(b []byte) (Position, error) {
	if len(b) < positionSize {
		return Position{}, errShort
	}
	return parsePosition(b), nil
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
	State       int // enum of tcp_states.h
	Lost        int
	LastData    time.Duration // since the kernel received the last octets
	OutOfOrder  int           // segments received that could not be delivered yet
	// ReceiveRTT is the kernel's estimate from the arrivals alone: RTT stands still while nothing is sent. A sender that
	// does not fill the window makes it longer than the path is. 0 unknown.
	ReceiveRTT time.Duration
}

// ParseInfo reads the data of an Info message.
func ParseInfo(b []byte) (SocketInfo, error) {
	if len(b) < positionSize+56 {
		return SocketInfo{}, errShort
	}
	i := SocketInfo{Position: parsePosition(b)}
	b = b[positionSize:]
	i.Forked = order.Uint32(b[0:]) != 0
	i.PastHooks = order.Uint32(b[4:]) != 0
	i.Inode = order.Uint64(b[8:])
	i.Unread = int(order.Uint32(b[16:]))
	i.RTT = time.Duration(order.Uint32(b[20:])) * time.Microsecond
	i.RTTVar = time.Duration(order.Uint32(b[24:])) * time.Microsecond
	i.Retransmits = int(order.Uint32(b[28:]))
	i.State = int(order.Uint32(b[32:]))
	i.Lost = int(order.Uint32(b[36:]))
	i.LastData = time.Duration(order.Uint32(b[40:])) * time.Millisecond
	i.OutOfOrder = int(order.Uint32(b[44:]))
	i.ReceiveRTT = time.Duration(order.Uint32(b[48:])) * time.Microsecond
	return i, nil
}

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

// Counters are the shared ones. Safe for concurrent use.
type Counters interface {
	// Read returns a consistent snapshot; ok is false if the slot has another stream by now.
	Read(slot uint32, stream uint64) (s Snapshot, ok bool)
	// Quiet returns the number of an exchange of the stream's that no message has told of, 0 if there is none, and whether it is
	// over. An Ask has it told.
	Quiet(slot uint32, stream uint64) (exchange uint64, over bool)
	// Guard asks the shim to hold the program when the stream's connection fails.
	Guard(slot uint32, stream uint64, on bool)
	// Keep asks the shim to keep a tail of the content in any case, or only where that costs little.
	Keep(slot uint32, stream uint64, always bool)
	// Tail returns the last octets of the exchange's content before the offset end, at most limit, as
	// far as they are kept.
	Tail(slot uint32, stream, exchange uint64, end int64, limit int) []byte
}
