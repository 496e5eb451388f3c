/* bulk.c: reads in the middle of content; see bulk.h. */
#include "bulk.h"

#include <sys/uio.h>

#include "stream/caller.h"
#include "process/calls.h"
#include "exchange.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/agent.h"

/* The coarse clock is asked at every so many reads: at such a rate, that is more often than it ticks. */
#define CLOCK_READS 16

/* Content of known extent that such a read cannot bring to its end. */
static bool is_amid_content(const struct stream *s, size_t length)
{
    return (s->in.phase == MS_LENGTH || s->in.phase == MS_CHUNK_DATA) && length && s->in.left > length;
}

/* Nothing is under way that a read would have to mind. To be asked by a call that is counted as inside. */
static bool is_calm(const struct stream *s, const struct tls *t)
{
    /* Not before the call is counted: whoever closes the gate looks then who is inside. */
    return !atomic_load(&s->gate.state) && !atomic_load(&s->armed)
        && s->present.end == MS_NO_STOP && !atomic_load_explicit(&s->present.unchunks, memory_order_relaxed)
        && atomic_load_explicit(&s->stage, memory_order_relaxed) == STAGE_OPEN
        && atomic_load_explicit(&s->tls, memory_order_relaxed) == t && (t || !s->opaque) && !s->in.tail && !s->in.digest
        && atomic_load_explicit(&s->counters->keep, memory_order_relaxed) != MS_KEEP_ALWAYS
        && !atomic_load_explicit(&s->resuming, memory_order_relaxed) && !atomic_load_explicit(&s->shown, memory_order_relaxed)
        && !atomic_load_explicit(&s->waits.hidden, memory_order_relaxed)
        && !atomic_load_explicit(&s->pending_error, memory_order_relaxed) && stream_entry(s->fd) == s;
}

static bool begin(struct call *call, struct stream *s, const struct tls *t, size_t length)
{
    if (agent_is_there() || atomic_load_explicit(&shared.wanted, memory_order_relaxed) || !fork_is_mine()) {
        return false;
    }
    atomic_fetch_add(&s->gate.inside, 1);
    uint64_t token = is_calm(s, t) ? caller_enter(s, &s->callers.reading) : 0;
    if (!token) {
        gate_leave(s);
        return false;
    }
    if (!is_amid_content(s, length)) {
        caller_leave(s, &s->callers.reading, token);
        return false;
    }
    *call = (struct call){
        .stream = s, .id = s->id, .token = token, .place = &s->callers.reading, .generation = atomic_load(&s->generation),
        .alone = true, .tracked = true, .clear = t != NULL,
    };
    return true;
}

bool bulk_begin(struct call *call, struct stream *s, size_t length)
{
    return begin(call, s, NULL, length);
}

/* What the session reads comes from the program's own handle, and nothing is to be shown before. */
static bool is_plain(const struct tls *t, const struct stream *s)
{
    return tls_is_plain(t) && !atomic_load_explicit(&s->pending, memory_order_relaxed);
}

bool bulk_begin_clear(struct call *call, struct stream *s, const struct tls *t, size_t length)
{
    if (!begin(call, s, t, length)) {
        return false;
    }
    /* Nobody makes a twin of it the session while this call is inside. */
    if (!is_plain(t, s)) {
        caller_leave(s, &s->callers.reading, call->token);
        return false;
    }
    return true;
}

/* Counts what came. */
static void count(struct stream *s, size_t n)
{
    s->in.left -= n;
    s->in.content += n;
    /* As `publish` does: the agent arms, then looks here; what was armed is looked for after this. */
    atomic_store(&s->counters->received, s->in.content);
    if (atomic_load(&s->armed)) {
        exchange_check_stop(s);
    }
}

static void note_time(struct stream *s)
{
    uint64_t now = (uint64_t)coarse_now_ns(), before = atomic_exchange_explicit(&s->exchanges.last_read, now, memory_order_relaxed);
    exchange_stirs(s, before, now);
}

bool bulk_end(struct call *call, ssize_t result, void *buffer, size_t length)
{
    struct stream *s = call->stream;
    if (result <= 0 || atomic_load(&s->armed) || !caller_returns(&s->callers.reading, &call->token)) {
        struct iovec part = { buffer, length };
        return read_end(call, result, &part, 1);
    }
    s->present.seen += (uint64_t)result;
    atomic_store_explicit(&s->waits.drained, (size_t)result < length, memory_order_relaxed);
    atomic_store_explicit(&s->waits.promised, 0, memory_order_relaxed);
    count(s, (size_t)result);
    uint32_t reads = agent_note_read((size_t)result);
    if (reads % CLOCK_READS <= (size_t)result / READ_OCTETS || (size_t)result < length) {
        note_time(s);
    }
    caller_leave(s, &s->callers.reading, call->token);
    return false;
}

bool bulk_end_clear(struct call *call, size_t n, size_t length)
{
    struct stream *s = call->stream;
    if (atomic_load(&s->armed) || !caller_returns(&s->callers.reading, &call->token)) {
        return false;
    }
    atomic_store_explicit(&s->waits.drained, n < length, memory_order_relaxed);
    count(s, n);
    agent_note_read(n);
    note_time(s); /* a record comes at a time: that less came than was asked for tells nothing */
    caller_leave(s, &s->callers.reading, call->token);
    return true;
}

bool bulk_has_more(struct stream *s)
{
    if (atomic_load_explicit(&s->waits.drained, memory_order_relaxed) || agent_is_there() || !is_calm(s, NULL)) {
        return false;
    }
    uint32_t changes = atomic_load(&gate_changes);
    struct pollfd look = { .fd = s->fd, .events = POLLIN | POLLRDHUP };
    if (REAL(poll)(&look, 1, 0) != 1 || look.revents != POLLIN || atomic_load(&gate_changes) != changes) {
        return false;
    }
    atomic_store_explicit(&s->waits.looked, 1, memory_order_relaxed);
    atomic_store_explicit(&s->waits.promised, atomic_load_explicit(&s->generation, memory_order_relaxed) + 1, memory_order_relaxed);
    return true;
}
