/* stream.c: records of tracked descriptors, from socket() to the core's forgetting; see stream.h. */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "above.h"
#include "caller.h"
#include "process/above.h"
#include "process/calls.h"
#include "channel.h"
#include "process/fork.h"
#include "gate.h"
#include "process/agent.h"
#include "process/load.h"
#include "over.h"
#include "network/use.h"
#include "process/withdraw.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t stream_open_count;
_Atomic uint32_t stream_untold_count;
_Atomic uint32_t dialogue_controls;

/*
 * Records come by the chunk, as there are descriptors to be tracked: mlockall() fills all that there is with memory, and counts
 * it against its limit.
 */
#define CHUNK 64
static _Atomic(struct stream *) chunks[MS_SLOTS / CHUNK];
static _Atomic uint32_t slots_used;
static _Atomic uint64_t last_id;

struct stream *stream_slot(uint32_t slot)
{
    struct stream *chunk = slot < MS_SLOTS ? atomic_load_explicit(&chunks[slot / CHUNK], memory_order_acquire) : NULL;
    return chunk ? &chunk[slot % CHUNK] : NULL;
}

uint32_t stream_slots_used(void)
{
    uint32_t n = atomic_load(&slots_used);
    return n < MS_SLOTS ? n : MS_SLOTS;
}

/* A slot is used again only when the last call on its former descriptor has left. */
static bool take(struct stream *s)
{
    uint32_t free = STAGE_FREE;
    if (atomic_load(&s->gate.inside) && atomic_load(&s->stage) == STAGE_FREE) {
        caller_look(s);
    }
    return !atomic_load(&s->gate.inside) && atomic_compare_exchange_strong(&s->stage, &free, STAGE_CANDIDATE);
}

static bool make_chunk(uint32_t at)
{
    size_t size = CHUNK * sizeof(struct stream);
    if (atomic_load(&chunks[at])) {
        return true;
    }
    int saved = errno;
    struct stream *chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *none = NULL;
    errno = saved;
    if (chunk == MAP_FAILED) {
        return false;
    }
    for (uint32_t i = 0; i < CHUNK; i++) {
        chunk[i].slot = at * CHUNK + i;
    }
    if (!atomic_compare_exchange_strong(&chunks[at], &none, chunk)) {
        munmap(chunk, size); /* another thread was first */
    }
    return true;
}

static struct stream *claim(void)
{
    /* Where to look first: the slot that became free last is the likeliest to be free. */
    static _Atomic uint32_t hint;
    uint32_t used = stream_slots_used(), start = atomic_load(&hint);
    for (uint32_t i = 0; i < used && i < 64; i++) {
        struct stream *s = stream_slot((start + i) % used);
        if (take(s)) {
            atomic_store(&hint, s->slot + 1);
            return s;
        }
    }
    while ((used = stream_slots_used()) < MS_SLOTS) {
        if (!make_chunk(used / CHUNK)) {
            return NULL;
        }
        /* From that instant on, others find it free as well. */
        if (atomic_compare_exchange_strong(&slots_used, &used, used + 1) && take(stream_slot(used))) {
            return stream_slot(used);
        }
    }
    for (uint32_t slot = 0; slot < MS_SLOTS; slot++) {
        if (take(stream_slot(slot))) {
            return stream_slot(slot);
        }
    }
    return NULL;
}

/* Nobody is inside, waits, or has looked at it. */
static void reset_gate(struct stream *s)
{
    atomic_store(&s->gate.state, 0);
    atomic_store(&s->callers.reading, 0);
    atomic_store(&s->callers.receiving, 0);
    atomic_store(&s->callers.writing, 0);
    atomic_store(&s->callers.peeking, 0);
    atomic_store(&s->shown, 0);
    atomic_store(&s->callers.records, 0);
    stream_no_sleepers(s);
    atomic_store(&s->stepping, 0);
    atomic_store(&s->resuming, 0);
    atomic_store(&s->pending, 0);
    atomic_store(&s->waits.drained, 1);
    atomic_store(&s->waits.looked, 0);
    atomic_store(&s->waits.hidden, 0);
    atomic_store(&s->waits.promised, 0);
    atomic_store(&s->blocking, BLOCKING_UNKNOWN);
    atomic_store(&s->waiting, BLOCKING_UNKNOWN);
}

/* It is nothing of FTP's; the memory for what is said stays. */
static void reset_dialogue(struct stream *s)
{
    uint8_t *octets = s->dialogue.octets;
    if (octets) {
        explicit_bzero(octets, s->dialogue.kept);
    }
    if (s->dialogue.state == DIALOGUE_FOLLOWED) {
        atomic_fetch_sub(&dialogue_controls, 1);
    }
    memset(&s->dialogue, 0, sizeof s->dialogue);
    s->dialogue.octets = octets;
}

/* No octet has been sent or received. */
static void reset_exchanges(struct stream *s)
{
    framing_reset(&s->out, true);
    framing_reset(&s->in, false);
    s->exchanges.matched = 0;
    atomic_store(&s->exchanges.sent, 0);
    atomic_store(&s->exchanges.heads, 0);
    atomic_store(&s->exchanges.connects, 0);
    atomic_store(&s->exchanges.answered, 0);
    atomic_store(&s->exchanges.last_read, 0);
    s->exchanges.first = 0;
    s->exchanges.head_told = false;
    quiet_reset(s);
    reset_dialogue(s);
    atomic_store(&s->tls, NULL);
    s->opaque = s->http_over_tls = false;
    s->tunnel[0] = s->host[0] = 0;
}

/* Nothing is known of the connection, nor asked for; but `due` stays: the record may still be in the agent's list. */
static void reset_connections(struct stream *s)
{
    static const struct connection none = { .fd = -1, .end = MS_NO_STOP };
    s->present = s->kept = s->next = none;
    s->forks = s->forks_told = fork_children();
    s->moved = s->bound = false;
    s->carried_pid = s->carried_fd = 0;
    s->passes = 0;
    memset(&s->peer, 0, sizeof s->peer);
    s->pending_error = 0;
    atomic_store(&s->untold, 0);
    atomic_store(&s->attempt.state, ATTEMPT_NONE);
    s->attempt.flight = 0;
    s->asked.until = MS_NO_STOP;
    atomic_store(&s->armed, 0);
    s->woken = s->decided = s->still = false;
}

/* Epoll sets that were joined before connect() stay known: those of `before`, NULL none. */
static void reset_epolls(struct stream *s, const struct membership *before)
{
    s->memberships.sought_in = -1;
    atomic_store(&s->memberships.busy, 0);
    if (before) {
        memcpy(s->memberships.list, before, sizeof s->memberships.list);
        return;
    }
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        s->memberships.list[i].epfd = -1;
    }
}

struct stream *stream_new(int fd, int domain)
{
    struct stream *old = stream_of(fd);
    struct membership epolls[STREAM_EPOLLS];
    bool keep_epolls = old && atomic_load(&old->stage) == STAGE_CANDIDATE && !old->exchanges.matched;
    bool too_many = keep_epolls && old->memberships.too_many;
    if (keep_epolls) {
        memcpy(epolls, old->memberships.list, sizeof epolls);
    }
    if (old) {
        stream_closed(old);
    }
    struct stream *s = (unsigned)fd < STREAM_TABLE ? claim() : NULL;
    if (!s) {
        stream_mark(fd, NULL);
        return NULL;
    }
    uint32_t generation = atomic_load(&s->generation) + 1;
    s->id = atomic_fetch_add(&last_id, 1) + 1;
    s->counters = &shared.counters[s->slot];
    s->fd = fd;
    s->domain = domain;
    reset_gate(s);
    atomic_store(&s->generation, generation);
    reset_exchanges(s);
    reset_connections(s);
    reset_epolls(s, keep_epolls ? epolls : NULL);
    s->memberships.too_many = too_many;
    stream_mark(fd, s);
    return s;
}

static void forget(struct stream *s)
{
    attempt_over(s);
    quiet_reset(s);
    reset_dialogue(s);
    atomic_store(&s->counters->stream, 0);
    atomic_store(&s->stage, STAGE_FREE);
}

static bool tell_closed(const struct stream *s)
{
    return channel_send(s, MS_CLOSED, 0, atomic_load(&s->counters->exchange), (int64_t)s->in.content, (int64_t)atomic_load(&s->exchanges.answered), NULL, 0);
}

static void unmark(struct stream *s)
{
    if (stream_of(s->fd) == s) {
        stream_mark(s->fd, NULL);
    }
}

bool stream_advance(struct stream *s, bool known, uint32_t to)
{
    uint32_t stage = atomic_load(&s->stage);
    while (known ? stage == STAGE_OPEN || stage == STAGE_LEFT : stage == STAGE_CANDIDATE || stage == STAGE_HTTP) {
        if (atomic_compare_exchange_weak(&s->stage, &stage, to)) {
            return true;
        }
    }
    return false;
}

void stream_abandon(struct stream *s)
{
    if (stream_advance(s, false, STAGE_PARTING)) {
        unmark(s);
        tls_part(s);
        forget(s);
    }
}

void stream_closed(struct stream *s)
{
    stream_abandon(s);
    if (stream_advance(s, true, STAGE_CLOSED)) {
        unmark(s);
        tls_part(s);
        atomic_fetch_sub(&stream_open_count, 1);
        /* What the agent holds for the stream is the agent's to drop, when MS_RELEASE comes. */
        if (tell_closed(s)) {
            return;
        }
        if (atomic_load(&load_state) == LOAD_FAILED) {
            stream_release(s);
        } else if (!atomic_exchange(&s->untold, 1)) {
            atomic_fetch_add(&stream_untold_count, 1);
            agent_ensure();
            agent_wake();
        }
    }
}

void stream_tell_closed(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (!s || !atomic_load(&s->untold)) {
            continue;
        }
        if (!tell_closed(s)) {
            return; /* it is still behind */
        }
        atomic_store(&s->untold, 0);
        atomic_fetch_sub(&stream_untold_count, 1);
    }
}

void stream_release(struct stream *s)
{
    uint32_t closed = STAGE_CLOSED;
    if (atomic_compare_exchange_strong(&s->stage, &closed, STAGE_PARTING)) {
        forget(s);
    }
}

void stream_forget_plain(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (!s) {
            continue;
        }
        bool other = atomic_load(&s->tls) || atomic_load(&s->present.unchunks) || atomic_load(&s->pending) || s->present.end != MS_NO_STOP || s->kept.fd >= 0;
        stream_abandon(s);
        if (!other && stream_advance(s, true, STAGE_PARTING)) {
            unmark(s);
            atomic_fetch_sub(&stream_open_count, 1);
            forget(s);
        }
    }
    for (int fd = 0; fd < STREAM_TABLE; fd++) {
        if (stream_entry(fd) && !stream_of(fd)) {
            stream_mark(fd, NULL);
        }
    }
}

void stream_leave(struct stream *s, enum ms_why why)
{
    uint32_t stage = atomic_load(&s->stage);
    if (stage == STAGE_OPEN) {
        /* Another thread may close it meanwhile. */
        if (!atomic_compare_exchange_strong(&s->stage, &stage, STAGE_LEFT)) {
            return;
        }
        quiet_tell(s);
        channel_send_why(s, MS_LEFT, atomic_load(&s->counters->exchange), 0, 0, why);
    } else {
        attempt_withdraw(s);
        stream_abandon(s);
    }
}

void stream_guard_early(struct stream *s)
{
    bool starting = atomic_load(&load_state) == LOAD_STARTING;
    bool known = s->peer.sin6_family; /* nobody else could be asked */
    atomic_store(&s->counters->guard, known && !s->here && (starting || atomic_load(&shared.guard_new)));
}

bool stream_open(struct stream *s)
{
    struct ms_opened opened = { .fd = s->fd, .domain = s->domain, .carried_pid = s->carried_pid, .carried_fd = s->carried_fd,
                                .dialogue = s->dialogue.state == DIALOGUE_FOLLOWED, .control = s->dialogue.control };
    socklen_t length = sizeof opened.protocol;
    struct stat status;
    if (!load_start() || fstat(s->fd, &status)) {
        return false;
    }
    s->present.inode = status.st_ino;
    REAL(getsockopt)(s->fd, SOL_SOCKET, SO_PROTOCOL, &opened.protocol, &length);
    length = sizeof opened.peer;
    if (REAL(getpeername)(s->fd, (struct sockaddr *)&opened.peer, &length)) {
        opened.peer = s->peer; /* not connected yet (TCP_FASTOPEN_CONNECT), or not any more */
    }
    length = sizeof opened.local;
    REAL(getsockname)(s->fd, (struct sockaddr *)&opened.local, &length);
    if (!s->moved) {
        s->peer = opened.peer;
        s->local = opened.local;
    }
    s->exchanges.first = atomic_load(&s->exchanges.sent);
    atomic_store(&s->counters->exchange, atomic_load(&s->exchanges.answered) + 1);
    atomic_store(&s->counters->received, s->dialogue.state ? s->in.content : 0);
    atomic_store(&s->counters->head, 0);
    atomic_store(&s->counters->phase, s->in.phase == MS_IDLE ? MS_HEAD : s->in.phase);
    atomic_store(&s->counters->stop_at, MS_NO_STOP);
    s->here = use_is_local((struct sockaddr *)&opened.peer);
    stream_guard_early(s);
    atomic_store(&s->counters->called_off, 0);
    s->arming = 0;
    /* From the first octet on: the core may hear of the response only when the program has read much of it. */
    atomic_store(&s->counters->keep, s->dialogue.state == DIALOGUE_FOLLOWED ? MS_KEEP_NEVER : MS_KEEP_CHEAP);
    atomic_store(&s->counters->stream, s->id);
    if (!stream_advance(s, false, STAGE_OPEN)) {
        return false; /* another thread has closed it meanwhile */
    }
    atomic_fetch_add(&stream_open_count, 1);
    if (!channel_send(s, MS_OPENED, 0, s->exchanges.first, 0, 0, &opened, sizeof opened)) {
        if (stream_advance(s, true, STAGE_HTTP)) {
            atomic_fetch_sub(&stream_open_count, 1);
        }
        return false;
    }
    tls_opened(s);
    if (withdraw_reason()) {
        stream_leave(s, withdraw_reason());
    } else if (!load_is_near(s->fd)) {
        stream_leave(s, MS_WHY_OTHER_NAMESPACE);
    }
    return true;
}
