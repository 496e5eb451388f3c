/* readiness.c: see readiness.h. */
#include "readiness.h"

#include <errno.h>

#include "attempt.h"
#include "process/calls.h"
#include "above.h"
#include "network/socket.h"

/* Another connection has been proved to deliver before it is put on a descriptor: what comes first is mostly there, or on its way. */
#define PROMISE_MS 500

enum readiness readiness_of(const struct stream *s)
{
    int saved = errno;
    struct pollfd look = { .fd = s->fd, .events = POLLIN | POLLRDHUP };
    enum readiness found = READINESS_NOTHING;
    if (REAL(poll)(&look, 1, 0) == 1 && look.revents) {
        found = !(look.revents & (short)READINESS_FAILURE) || socket_unread(s->fd) ? READINESS_OCTETS : READINESS_END;
    }
    errno = saved;
    return readiness_is_pending(s) ? READINESS_OCTETS : found;
}

/*
 * A wait that tells of octets is believed where the last read got all that it asked for: then there is most likely more. If not, the
 * next read meets the end, and what it promised is waited for.
 */
static bool may_have_ended(const struct stream *s, uint32_t events)
{
    return ending_would_hold(s)
        && (events & READINESS_FAILURE || (events & READINESS_INPUT && atomic_load_explicit(&s->waits.drained, memory_order_relaxed)));
}

static uint32_t look(struct stream *s, uint32_t events, bool changed, bool *again)
{
    if (attempt_is_open(s)) {
        *again = attempt_shown(s, events) || *again;
        return events;
    }
    if (changed && events & (READINESS_INPUT | READINESS_FAILURE)) {
        *again = true;
        return events;
    }
    if (may_have_ended(s, events)) {
        enum readiness found = readiness_of(s);
        if (found == READINESS_END && ending_met_in_wait(s)) {
            *again = true;
        } else if (found == READINESS_OCTETS && events & READINESS_FAILURE) {
            atomic_store(&s->waits.hidden, 1);
            events &= ~READINESS_FAILURE;
        }
    }
    if (!*again && events & READINESS_INPUT && !unchunk_is_readable(s)) {
        *again = true;
    }
    if (events & READINESS_FAILURE && atomic_load(&s->pending_error)) {
        events |= POLLERR; /* a read has taken it from the socket, and returned something else */
    }
    return events;
}

uint32_t readiness_shown(struct stream *s, uint32_t events, bool changed, bool *again)
{
    int saved = errno;
    bool repeat = false;
    uint32_t shown = look(s, events, changed, &repeat);
    if (!repeat && shown & READINESS_INPUT) {
        atomic_store_explicit(&s->waits.promised, atomic_load(&s->generation) + 1, memory_order_relaxed);
    }
    *again = *again || repeat;
    errno = saved;
    return shown;
}

int readiness_unread(struct stream *s, int unread)
{
    unread = unchunk_unread(s, unread);
    return unread || !readiness_is_pending(s) ? unread : 1; /* how many records that was, nobody knows any more */
}

bool readiness_is_denied(const struct stream *s)
{
    uint32_t promised = atomic_load_explicit(&s->waits.promised, memory_order_relaxed);
    return promised && promised != atomic_load(&s->generation) + 1;
}

void readiness_await(int fd)
{
    int saved = errno;
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    poll(&wait, 1, PROMISE_MS); /* the hook: something else may come to be behind the descriptor, or its end be mended */
    errno = saved;
}
