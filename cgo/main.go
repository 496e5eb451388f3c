// The c-shared library libmidstream-core.so: the only package with cgo. It hands the shim's channel and
// counters to the controller, and does nothing else.
package main

/*
#include "abi.h"
#include <errno.h>
#include <string.h>

static int ms_read(struct ms_shared *shared, uint32_t slot, uint64_t stream, uint64_t out[4])
{
	struct ms_counters *c = &shared->counters[slot];
	for (int tries = 0; tries < 1000; tries++) {
		uint64_t exchange = atomic_load(&c->exchange);
		out[0] = exchange;
		out[1] = atomic_load(&c->received);
		out[2] = atomic_load(&c->head);
		out[3] = atomic_load(&c->phase);
		if (exchange && atomic_load(&c->exchange) == exchange)
			return atomic_load(&c->stream) == stream;
	}
	return 0;
}

static uint64_t ms_quiet(struct ms_shared *shared, uint32_t slot, uint64_t stream)
{
	struct ms_counters *c = &shared->counters[slot];
	uint64_t quiet = atomic_load(&c->quiet);
	return atomic_load(&c->stream) == stream ? quiet : 0;
}

static void ms_looks(struct ms_shared *shared, uint32_t on) { atomic_store(&shared->looks, on); }

static void ms_by_issuer(struct ms_shared *shared, uint32_t on) { atomic_store(&shared->by_issuer, on); }

static void ms_wanted(struct ms_shared *shared)
{
	atomic_store(&shared->wanted, 1);
}

static void ms_guard(struct ms_shared *shared, uint32_t slot, uint64_t stream, uint32_t on)
{
	struct ms_counters *c = &shared->counters[slot];
	if (atomic_load(&c->stream) == stream) {
		// An exchange that is not told of is guarded as the shim has seen fit; it sees to that again after it has said so.
		uint64_t quiet = atomic_load(&c->quiet);
		if (on || !quiet || quiet & 1) {
			uint32_t before = atomic_exchange(&c->guard, on);
			quiet = atomic_load(&c->quiet);
			if (!on && quiet && !(quiet & 1))
				atomic_store(&c->guard, before);
		}
	}
	if (on)
		atomic_store(&shared->guard_new, 1);
}

static void ms_keep(struct ms_shared *shared, uint32_t slot, uint64_t stream, uint32_t before, uint32_t keep)
{
	struct ms_counters *c = &shared->counters[slot];
	if (atomic_load(&c->stream) == stream)
		atomic_compare_exchange_strong(&c->keep, &before, keep);
}

// The octets before `end`, at most `limit`, written to `to`; their number.
static size_t ms_tail(struct ms_shared *shared, const uint8_t *tails, uint32_t slot, uint64_t exchange, uint64_t end, size_t limit,
                      uint8_t *to)
{
	struct ms_counters *c = &shared->counters[slot];
	uint64_t size = atomic_load(&c->tail_size);
	if (!tails || !size || atomic_load(&c->exchange) != exchange)
		return 0;
	const uint8_t *ring = tails + atomic_load(&c->tail_at);
	if (end <= atomic_load(&c->beginning)) {
		uint64_t n = end < limit ? end : limit;
		memcpy(to, ring + size + (end - n), n);
		return atomic_load(&c->exchange) == exchange ? n : 0;
	}
	uint64_t from = atomic_load(&c->tail_from), received = atomic_load(&c->received);
	if (received < end || from >= end)
		return 0;
	uint64_t first = end - from < limit ? from : end - limit;
	if (end > size && first < end - size)
		first = end - size;
	for (uint64_t i = first; i < end; ) {
		uint64_t n = size - i % size < end - i ? size - i % size : end - i;
		memcpy(to + (i - first), ring + i % size, n);
		i += n;
	}
	atomic_thread_fence(memory_order_acquire);
	uint64_t written = atomic_load(&c->tail_end);
	if (atomic_load(&c->exchange) != exchange || atomic_load(&c->tail_from) != from)
		return 0;
	// What has been written over meanwhile does not count.
	uint64_t lost = written > size && written - size > first ? written - size - first : 0;
	if (lost >= end - first)
		return 0;
	memmove(to, to + lost, end - first - lost);
	return end - first - lost;
}

// The digest of the exchange's content, and where it stands: 0 where there is none.
static int ms_digest(struct ms_shared *shared, uint32_t slot, uint64_t exchange, uint64_t out[5])
{
	struct ms_counters *c = &shared->counters[slot];
	for (int i = 0; i < 1000; i++) {
		uint64_t at = atomic_load(&c->digest_at);
		if (at == UINT64_MAX)
			continue;
		out[1] = atomic_load(&c->digest[0]);
		out[2] = atomic_load(&c->digest[1]);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&c->digest_at) == at && atomic_load(&c->exchange) == exchange) {
			out[0] = at;
			out[3] = atomic_load(&shared->digest_keys[0]);
			out[4] = atomic_load(&shared->digest_keys[1]);
			return out[3] && out[4];
		}
	}
	return 0;
}

static void ms_call_off(struct ms_shared *shared, uint32_t slot, uint64_t stream, uint64_t arming)
{
	struct ms_counters *c = &shared->counters[slot];
	if (atomic_load(&c->stream) == stream)
		atomic_store(&c->called_off, arming);
}

void midstream_core_cut(void);

static void ms_use(struct ms_shared *shared, uint32_t index) { atomic_store(&shared->use_index, index); }

static void ms_order(struct ms_shared *shared, uint32_t at, uint32_t index) { atomic_store(&shared->order[at], index); }

static void ms_control_path(struct ms_shared *shared, const char *path, size_t length)
{
	if (length < sizeof shared->control_path) {
		memcpy(shared->control_path + 1, path + 1, length);
		shared->control_path[0] = path[0];
	}
}
*/
import "C"

import (
	"unsafe"

	"midstream/core/channel"
	"midstream/core/controller"
	"midstream/core/digest"
)

func main() {}

// guestCut is called by the runtime when it can go on no more (guest.go.in).
//
//go:linkname guestCut runtime.guestCut
var guestCut unsafe.Pointer

// guestEnd ends the core with all its threads, the calling one included.
//
//go:linkname guestEnd runtime.guestEnd
func guestEnd()

func init() { guestCut = C.midstream_core_cut }

// memory implements channel.Counters and controller.Shim on the shared table.
type memory struct {
	shared *C.struct_ms_shared
	tails  *C.uint8_t
}

func (m memory) Read(slot uint32, stream uint64) (channel.Snapshot, bool) {
	var out [4]C.uint64_t
	if slot >= C.MS_SLOTS || C.ms_read(m.shared, C.uint32_t(slot), C.uint64_t(stream), &out[0]) == 0 {
		return channel.Snapshot{}, false
	}
	return channel.Snapshot{
		Stream:   stream,
		Exchange: uint64(out[0]),
		Received: int64(out[1]),
		Head:     int64(out[2]),
		Phase:    channel.Phase(out[3]),
	}, true
}

func (m memory) Quiet(slot uint32, stream uint64) (exchange uint64, over bool) {
	if slot >= C.MS_SLOTS {
		return 0, false
	}
	quiet := uint64(C.ms_quiet(m.shared, C.uint32_t(slot), C.uint64_t(stream)))
	return quiet >> 1, quiet&1 != 0
}

func (m memory) Looks(on bool) {
	var flag C.uint32_t
	if on {
		flag = 1
	}
	C.ms_looks(m.shared, flag)
}

func (m memory) ByIssuer(on bool) {
	var flag C.uint32_t
	if on {
		flag = 1
	}
	C.ms_by_issuer(m.shared, flag)
}

func (m memory) Guard(slot uint32, stream uint64, g channel.Guard) {
	if slot < C.MS_SLOTS {
		C.ms_guard(m.shared, C.uint32_t(slot), C.uint64_t(stream), C.uint32_t(g))
	}
}

func (m memory) Keep(slot uint32, stream uint64, always bool) {
	if slot < C.MS_SLOTS {
		before, keep := C.uint32_t(C.MS_KEEP_ALWAYS), C.uint32_t(C.MS_KEEP_CHEAP)
		if always {
			before, keep = keep, before
		}
		C.ms_keep(m.shared, C.uint32_t(slot), C.uint64_t(stream), before, keep)
	}
}

func (m memory) CallOff(slot uint32, stream, arming uint64) {
	if slot < C.MS_SLOTS {
		C.ms_call_off(m.shared, C.uint32_t(slot), C.uint64_t(stream), C.uint64_t(arming))
	}
}

func (m memory) Tail(slot uint32, stream, exchange uint64, end int64, limit int) []byte {
	if slot >= C.MS_SLOTS || end <= 0 || limit <= 0 {
		return nil
	}
	if n, ok := m.Read(slot, stream); !ok || n.Exchange != exchange {
		return nil
	}
	b := make([]byte, min(int64(limit), end))
	n := C.ms_tail(m.shared, m.tails, C.uint32_t(slot), C.uint64_t(exchange), C.uint64_t(end), C.size_t(len(b)), (*C.uint8_t)(unsafe.Pointer(&b[0])))
	return b[:n]
}

func (m memory) Digest(slot uint32, stream, exchange uint64) (at int64, d digest.Digest, ok bool) {
	var out [5]C.uint64_t
	if n, ok := m.Read(slot, stream); !ok || n.Exchange != exchange ||
		C.ms_digest(m.shared, C.uint32_t(slot), C.uint64_t(exchange), &out[0]) == 0 {
		return 0, d, false
	}
	return int64(out[0]), digest.New([2]uint64{uint64(out[1]), uint64(out[2])}, [2]uint64{uint64(out[3]), uint64(out[4])}), true
}

// Use says which interface new connections are bound to: its index, or MS_USE_ALL, MS_USE_NONE.
func (m memory) Use(index uint32) { C.ms_use(m.shared, C.uint32_t(index)) }

// Order tells the interfaces for connections that are to be made, best first.
func (m memory) Order(indices []uint32) {
	for at := range C.MS_ORDER {
		index := uint32(0)
		if at < len(indices) {
			index = indices[at]
		}
		C.ms_order(m.shared, C.uint32_t(at), C.uint32_t(index))
	}
}

func (m memory) ControlPath(path string) {
	if path != "" {
		b := append([]byte(path), 0)
		C.ms_control_path(m.shared, (*C.char)(unsafe.Pointer(&b[0])), C.size_t(len(path)))
	}
}

// End is called when the shim has ended the channel: it needs the core no more.
func (memory) End() { guestEnd() }

// calling is the channel to a shim whose agent may have to be called first.
type calling struct {
	*channel.Conn
	memory
}

func (c calling) Send(m channel.Message, fd int) error {
	C.ms_wanted(c.shared)
	err := c.Conn.Send(m, fd)
	// The agent may have taken the first call for one of an earlier message, and have left before this one came.
	C.ms_wanted(c.shared)
	return err
}

//export midstream_core_start
func midstream_core_start(fd C.int, shared *C.struct_ms_shared, tails *C.uint8_t) C.int {
	if shared.version != C.MS_ABI_VERSION {
		return C.EPROTO
	}
	conn, err := channel.New(int(fd))
	if err != nil {
		return C.EIO
	}
	m := memory{shared, tails}
	controller.Start(calling{conn, m}, m, int(shared.pid))
	return 0
}
