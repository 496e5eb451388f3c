/* wait.h: the rest of a time-out, for waits that are repeated. */
#ifndef MIDSTREAM_WAIT_H
#define MIDSTREAM_WAIT_H

#include <limits.h>
#include <stdbool.h>
#include <time.h>

#include "attempt.h"
#include "stream/caller.h"
#include "process/agent.h"
#include "stream/stream.h"

/* There are streams, or connections being made, of which a wait must not show everything. */
static inline bool wait_is_watched(void)
{
    return atomic_load_explicit(&stream_open_count, memory_order_relaxed) || attempts_are_open();
}

/*
 * A call looks again after so long at the latest: on a machine so busy that it did not run for a tenth of a second after the
 * agent had woken it, it would otherwise sleep on behind a connection that has been replaced; and nobody wakes it where another thread
 * replaces one whose attempt both look at.
 */
#define WAIT_LONGEST_MS 1000

/* A connection on which nothing has been sent: another thread may send a ClientHello, and that be put elsewhere (attempt.h). */
static inline bool wait_may_change(const struct stream *s)
{
    return s && atomic_load_explicit(&s->stage, memory_order_relaxed) == STAGE_CANDIDATE && !s->bound;
}

/*
 * How long, in ns, a call may sleep at a time: without an agent that could wake it (it sleeps on `many` streams, not all of
 * them announced, or there is no agent), or until an attempt is to be looked at, which another thread may begin meanwhile on what
 * may change.
 */
static inline int64_t wait_piece(bool many, bool changes)
{
    if (!wait_is_watched()) {
        return changes ? WAIT_LONGEST_MS * 1000000LL : INT64_MAX;
    }
    bool open = atomic_load_explicit(&stream_open_count, memory_order_relaxed), alone = open && (many || !agent_is_there());
    int64_t piece = (alone ? AGENT_ABSENCE_MS : WAIT_LONGEST_MS) * 1000000LL, left = attempts_left();
    return left < piece ? left : piece;
}

/* Such a piece is over. */
static inline void wait_piece_over(void)
{
    if (atomic_load_explicit(&stream_open_count, memory_order_relaxed)) {
        agent_ensure();
    }
    attempts_look();
}

/* A wait of a program with open streams. It may be cut into a short piece and the rest. */
struct wait_clock {
    const struct timespec *timeout; /* NULL: for ever */
    int64_t until;                  /* by the coarse clock, which is cheap enough for every wait; 0: no end, or no wait */
    bool first;
    bool cut;  /* the present piece is not the whole wait */
    bool many; /* it is to be cut: not all streams are announced */
    bool changes; /* likewise: one may be put elsewhere that nobody follows yet */
};

static inline void wait_start(struct wait_clock *clock, const struct timespec *timeout)
{
    clock->timeout = timeout;
    clock->first = true;
    clock->cut = clock->many = clock->changes = false;
    bool finite = timeout && timeout->tv_sec < INT_MAX && (timeout->tv_sec || timeout->tv_nsec);
    clock->until = finite ? coarse_now_ns() + timeout->tv_sec * 1000000000LL + timeout->tv_nsec : 0;
}

/* What is left; the time-out itself the first time, so that an invalid one is seen by the kernel. */
static inline const struct timespec *wait_left(struct wait_clock *clock, struct timespec *left)
{
    const int64_t piece = wait_piece(clock->many, clock->changes);
    bool whole = clock->first || !clock->until;
    int64_t rest = whole ? INT64_MAX : clock->until - coarse_now_ns();
    clock->first = clock->cut = false;
    if (whole && clock->timeout) {
        rest = clock->timeout->tv_sec < 0 || clock->timeout->tv_nsec < 0 || clock->timeout->tv_nsec >= 1000000000 ? 0
            : clock->timeout->tv_sec > INT_MAX ? INT64_MAX
                                               : clock->timeout->tv_sec * 1000000000LL + clock->timeout->tv_nsec;
    }
    if (rest > piece) {
        clock->cut = true;
        rest = piece;
    } else if (whole) {
        return clock->timeout;
    }
    rest = rest < 0 ? 0 : rest;
    left->tv_sec = rest / 1000000000;
    left->tv_nsec = rest % 1000000000;
    return left;
}

static inline int wait_left_ms(struct wait_clock *clock)
{
    struct timespec left;
    const struct timespec *rest = wait_left(clock, &left);
    int64_t ms = rest ? rest->tv_sec * 1000LL + (rest->tv_nsec + 999999) / 1000000 : -1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* True when only a piece of the wait is over. */
static inline bool wait_goes_on(const struct wait_clock *clock, int result)
{
    if (result || !clock->cut) {
        return false;
    }
    wait_piece_over();
    return true;
}

/* Nanoseconds that are left of the whole wait, at the most. */
static inline int64_t wait_rest(const struct wait_clock *clock)
{
    bool at_once = clock->timeout && !clock->timeout->tv_sec && !clock->timeout->tv_nsec;
    return at_once ? 0 : clock->until ? clock->until - coarse_now_ns() : INT64_MAX;
}

static inline bool wait_is_over(const struct wait_clock *clock)
{
    return wait_rest(clock) <= 0;
}

/*
 * Streams that a call is going to sleep on. A sleeper in poll() or select() is woken by what was behind the number when it
 * fell asleep, but then looks at what is there now: the agent has to wake it before it puts something else there.
 */
#define WAIT_STREAMS 32

struct wait_streams {
    struct stream *list[WAIT_STREAMS];
    uint32_t meant[WAIT_STREAMS]; /* by each: its record may be taken for another meanwhile */
    unsigned count;
    bool many; /* there are more: such a wait looks again now and then */
    bool changes; /* so it does on what may change (wait_may_change) */
};

static inline void wait_announce(struct wait_streams *streams, struct stream *s)
{
    if (atomic_load_explicit(&s->callers.reading, memory_order_relaxed)) {
        caller_look_for_own(s);
    }
    if (streams->count < WAIT_STREAMS) {
        streams->list[streams->count] = s;
        streams->meant[streams->count++] = (uint32_t)(atomic_fetch_add(&s->waits.sleepers, 1) >> 32);
    } else {
        streams->many = true;
    }
}

static inline void wait_withdraw(struct wait_streams *streams)
{
    while (streams->count) {
        unsigned i = --streams->count;
        _Atomic uint64_t *polled = &streams->list[i]->waits.sleepers;
        uint64_t n = atomic_load(polled);
        while (n >> 32 == streams->meant[i] && (uint32_t)n && !atomic_compare_exchange_weak(polled, &n, n - 1)) {
            /* 0: the agent has given up waiting for the call. */
        }
    }
}

/* A gate was closed before its stream was announced. */
static inline bool wait_is_late(const struct wait_streams *streams)
{
    for (unsigned i = 0; i < streams->count; i++) {
        if (atomic_load(&streams->list[i]->gate.state)) {
            return true;
        }
    }
    return false;
}

static inline const struct timespec *wait_from_ms(struct timespec *limit, int ms)
{
    if (ms < 0) {
        return NULL;
    }
    limit->tv_sec = ms / 1000;
    limit->tv_nsec = ms % 1000 * 1000000L;
    return limit;
}

#endif
