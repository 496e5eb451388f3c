/* unchunk.c: takes chunk framing out of what a program reads; see unchunk.h. */
#include "unchunk.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "stream/caller.h"
#include "process/above.h"
#include "process/calls.h"
#include "exchange.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "framing/reframe.h"

/* What is looked at of framing at once: more than a chunk's line end and the next chunk's size line mostly are. */
#define PIECE 64

/* The rest of framing of which a part has been read is waited for so long. */
#define FRAMING_MS 1000

void unchunk_begin(struct connection *c, uint64_t left)
{
    framing_reset(&c->chunks, false);
    c->chunks.phase = MS_CHUNK_DATA;
    c->chunks.left = left;
    atomic_store(&c->unchunks, true);
}

static bool is_amid(const struct stream *s)
{
    return s->present.chunks.phase == MS_CHUNK_DATA && s->present.chunks.left;
}

uint64_t unchunk_left(const struct stream *s)
{
    return atomic_load(&s->present.unchunks) && is_amid(s) ? s->present.chunks.left : 0;
}

/* What comes next is not the program's to read, framing included: the core goes on there. */
static bool is_at_bound(const struct stream *s)
{
    return (int64_t)s->in.content >= s->present.end;
}

bool unchunk_is_over(const struct stream *s)
{
    return s->present.chunks.phase == MS_TRAILER || s->present.chunks.phase == MS_IDLE || s->present.chunks.phase == MS_BROKEN;
}

ssize_t unchunk(struct call *call, void *octets, ssize_t count)
{
    struct stream *s = call->stream;
    uint8_t *to = octets;
    const uint8_t *at = to, *end = at + count;
    if (!caller_returns(call->place, &call->token)) {
        errno = ECONNRESET; /* it seemed to have been left for good: others have gone on from where it stood */
        return -1;
    }
    for (size_t run; (run = content_next(&s->present.chunks, &at, end, SIZE_MAX)) > 0; to += run) {
        const uint8_t *from = at;
        content_take(&s->present.chunks, &at, run);
        memmove(to, from, run);
    }
    ssize_t content = to - (uint8_t *)octets;
    s->present.seen += (uint64_t)(count - content);
    if (!content && unchunk_is_over(s)) {
        errno = ECONNRESET;
        return -1;
    }
    return content;
}

/*
 * Steps over the framing that has come, up to the next content. 1: that is next; 0, -1: as recv() says. By one call at a time.
 */
static int step(struct stream *s, int flags)
{
    while (!is_amid(s) && !is_at_bound(s)) {
        uint8_t octets[PIECE];
        const uint8_t *at = octets;
        if (unchunk_is_over(s)) {
            errno = ECONNRESET;
            return -1;
        }
        ssize_t n = REAL(recv)(s->fd, octets, sizeof octets, MSG_PEEK | (flags & MSG_DONTWAIT));
        if (n <= 0) {
            return (int)n;
        }
        struct framing next = s->present.chunks; /* the thread may be cancelled in recv(), which has taken nothing then */
        content_next(&next, &at, octets + n, 1);
        size_t framing = (size_t)(at - octets);
        if (framing && REAL(recv)(s->fd, octets, framing, MSG_DONTWAIT) != (ssize_t)framing) {
            next.phase = MS_BROKEN;
        }
        s->present.chunks = next;
        s->present.seen += framing;
    }
    return 1;
}

/* The same for a call that does not read: takes a reader's place for so long, unless there is one. Within the gate. */
static int step_aside(struct stream *s)
{
    atomic_fetch_add(&s->stepping, 1);
    uint64_t token = caller_enter(s, &s->callers.reading);
    int result = token ? step(s, MSG_DONTWAIT) : 1;
    if (token) {
        atomic_fetch_add(&s->gate.inside, 1); /* leaving the place leaves the gate as well */
        caller_leave(s, &s->callers.reading, token);
    }
    atomic_fetch_sub(&s->stepping, 1);
    return result;
}

/* A look ahead: another thread may read meanwhile. */
static int step_ahead(struct stream *s, int flags)
{
    for (;;) {
        char octet;
        if (is_amid(s) || is_at_bound(s)) {
            return 1;
        }
        int result = step_aside(s);
        if (result == 0 || (result < 0 && errno != EAGAIN)) {
            return result;
        }
        ssize_t n = is_amid(s) ? 1 : REAL(recv)(s->fd, &octet, 1, MSG_PEEK | (flags & MSG_DONTWAIT));
        if (n <= 0) {
            return (int)n;
        }
        sched_yield();
    }
}

bool unchunk_step(struct call *call, int flags, size_t *allowed, ssize_t *result)
{
    struct stream *s = call->stream;
    if (!call->unchunks || !*allowed) {
        return false;
    }
    size_t left;
    do {
        int next = flags & MSG_PEEK ? step_ahead(s, flags) : step(s, flags);
        if (next <= 0) {
            *result = next;
            return true;
        }
        if (is_at_bound(s)) {
            *result = -1; /* another thread has come there since the call has begun: it is repeated */
            errno = ECONNRESET;
            return true;
        }
        left = s->present.chunks.left < *allowed ? (size_t)s->present.chunks.left : *allowed;
    } while (!left); /* another thread has read it: a look at nothing would look like the end */
    *allowed = left;
    return false;
}

/* Steps over the framing of which a part has been read: the core has to be told of a place in content. */
static bool come_amid(struct stream *s)
{
    struct pollfd more = { .fd = s->fd, .events = POLLIN };
    while (step(s, MSG_DONTWAIT) < 0 && errno == EAGAIN) {
        if (REAL(poll)(&more, 1, FRAMING_MS) != 1) {
            return false;
        }
    }
    return is_amid(s);
}

void unchunk_end(struct stream *s)
{
    int saved = errno;
    if (!atomic_load(&s->present.unchunks) || !fork_is_mine() || !gate_enter(s)) {
        return;
    }
    atomic_fetch_add(&s->stepping, 1);
    /* A read that is there may be this thread's own, which a signal handler has interrupted and will return to. */
    bool free = atomic_load(&s->present.unchunks) && !atomic_load(&s->callers.reading);
    uint64_t token = free ? caller_enter(s, &s->callers.reading) : 0;
    atomic_fetch_sub(&s->stepping, 1);
    bool ends = token && come_amid(s);
    if (ends) {
        s->present.end = (int64_t)s->in.content;
        atomic_store(&s->counters->stop_at, s->present.end);
        exchange_check_stop(s);
    }
    if (token) {
        caller_leave(s, &s->callers.reading, token);
    } else {
        gate_leave(s);
    }
    if (ends) {
        gate_wait(s);
    }
    errno = saved;
}

void unchunk_end_all(void)
{
    uint32_t used = atomic_load(&stream_open_count) ? stream_slots_used() : 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if ((stage == STAGE_OPEN || stage == STAGE_LEFT) && stream_of(s->fd) == s) {
            unchunk_end(s);
        }
    }
}

void unchunk_took(struct call *call, ssize_t result)
{
    const uint8_t *at = (const uint8_t *)"";
    if (call->unchunks && result > 0 && caller_returns(call->place, &call->token)) {
        content_take(&call->stream->present.chunks, &at, (size_t)result); /* only their number matters */
    }
}

bool unchunk_is_readable(struct stream *s)
{
    if (!atomic_load_explicit(&s->present.unchunks, memory_order_relaxed) || is_amid(s) || !gate_enter(s)) {
        return true;
    }
    int saved = errno;
    bool readable = !atomic_load(&s->present.unchunks) || step_aside(s) >= 0 || errno != EAGAIN;
    gate_leave(s);
    errno = saved;
    return readable;
}

int unchunk_unread(struct stream *s, int unread)
{
    if (!atomic_load(&s->present.unchunks)) {
        return unread;
    }
    int saved = errno;
    if (!is_amid(s) && (step_aside(s) <= 0 || !is_amid(s) || REAL(ioctl)(s->fd, FIONREAD, &unread))) {
        unread = 0;
    }
    errno = saved;
    return unread > 0 && s->present.chunks.left < (uint64_t)unread ? (int)s->present.chunks.left : unread;
}
