/* close.c: the program closes descriptors, one or many. Midstream's own survive, and the program is not told of them. */
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "close.h"
#include "confine.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/own.h"
#include "stream/stream.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#endif

bool close_prepare(int fd)
{
    if (own_has(fd)) {
        /* In a child that vfork made, an owned descriptor is the parent's as well: still not the program's. */
        errno = EBADF;
        return false;
    }
    if (stream_entry(fd) && fork_is_mine() && fork_same_process()) {
        struct stream *s = stream_of(fd);
        if (!s) {
            stream_mark(fd, NULL);
        } else if (gate_enter(s)) {
            /*
             * Before the call, so that a number used again at once is not taken for this stream; and inside, so that
             * the agent, which waits until nobody is, sees it closed.
             */
            stream_closed(s);
            gate_leave(s);
        }
    }
    return true;
}

EXPORT int close(int fd)
{
    return close_prepare(fd) ? REAL(close)(fd) : -1;
}

static void forget_range(unsigned first, unsigned last)
{
    if (!fork_is_mine() || !fork_same_process()) {
        return;
    }
    /* A mark on a descriptor that is not connected costs nothing if it is stale; records are what matters. */
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if (stage != STAGE_FREE && stage != STAGE_CLOSED && (unsigned)s->fd >= first && (unsigned)s->fd <= last
            && stream_of(s->fd) == s && gate_enter(s)) {
            stream_closed(s);
            gate_leave(s);
        }
    }
}

/* Calls `sweep` for every part of the range that holds none of Midstream's descriptors. */
static int sweep_around(unsigned first, unsigned last, int (*sweep)(unsigned, unsigned, int), int flags)
{
    unsigned from = first;
    for (unsigned fd = first; fd < STREAM_TABLE && fd <= last; fd++) {
        if (!own_has((int)fd)) {
            continue;
        }
        if (fd > from && sweep(from, fd - 1, flags)) {
            return -1;
        }
        from = fd + 1;
    }
    return from > last ? 0 : sweep(from, last, flags);
}

static int sweep_close_range(unsigned first, unsigned last, int flags)
{
    return REAL(close_range)(first, last, flags);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) {
        return REAL(close_range)(first, last, flags);
    }
    if (flags & CLOSE_RANGE_UNSHARE) {
        confine_table();
    }
    if (!(flags & CLOSE_RANGE_CLOEXEC)) {
        forget_range(first, last);
    }
    return sweep_around(first, last, sweep_close_range, flags);
}

static int sweep_closefrom(unsigned first, unsigned last, int flags)
{
    (void)flags;
    if (last == UINT_MAX) {
        REAL(closefrom)((int)first);
        return 0;
    }
    return REAL(close_range)(first, last, 0);
}

EXPORT void closefrom(int first)
{
    unsigned from = first < 0 ? 0 : (unsigned)first;
    forget_range(from, UINT_MAX);
    int saved = errno;
    sweep_around(from, UINT_MAX, sweep_closefrom, 0);
    errno = saved;
}

EXPORT int shutdown(int fd, int how)
{
    struct stream *s = stream_of(fd);
    if (!s || !fork_is_mine() || !gate_enter(s)) {
        return REAL(shutdown)(fd, how);
    }
    int result = REAL(shutdown)(fd, how);
    int saved = errno;
    if (!result) {
        /* A half-closed connection can be read to its end, but a new one would not be what it was. */
        stream_leave(s, how == SHUT_WR ? MS_WHY_SHUT_WR : MS_WHY_SHUT_RD);
    }
    gate_leave(s);
    errno = saved;
    return result;
}
