/* select.c: select() and pselect(), repeated like poll() when a hand-over has disturbed them (wait_loop.h). */
#include <errno.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

#include "process/calls.h"
#include "process/memory.h"
#include "call/bulk.h"
#include "wait/wait_loop.h"
#include "tls/tls.h"

/* Larger sets than the C library's own type are passed through: their size is not known here. */
struct sets {
    fd_set readable, writable, exceptional;
};

/* A call, as wait_loop.h has it. */
struct selected {
    int count;
    fd_set *readable, *writable, *exceptional; /* the program's; NULL: none */
    struct sets asked;                         /* what was in them */
    const sigset_t *mask;                      /* of pselect() */
    struct timeval *timeout;                   /* of select() */
};

static void copy(fd_set *to, const fd_set *from, int count)
{
    if (from) {
        memcpy(to, from, (size_t)(count + 63) / 64 * 8);
    }
}

/* The next descriptor of the set from `fd` on, or -1: sets are mostly empty, so words are looked at, not bits. */
static int next_member(const fd_set *set, int fd, int count)
{
    while (fd < count) {
        unsigned long word = (unsigned long)set->fds_bits[fd / NFDBITS] >> fd % NFDBITS;
        if (word) {
            fd += __builtin_ctzl(word);
            return fd < count ? fd : -1;
        }
        fd += NFDBITS - fd % NFDBITS;
    }
    return -1;
}

static void keep(struct selected *p)
{
    copy(&p->asked.readable, p->readable, p->count);
    copy(&p->asked.writable, p->writable, p->count);
    copy(&p->asked.exceptional, p->exceptional, p->count);
}

static void restore(void *set)
{
    const struct selected *p = set;
    if (p->readable) {
        copy(p->readable, &p->asked.readable, p->count);
    }
    if (p->writable) {
        copy(p->writable, &p->asked.writable, p->count);
    }
    if (p->exceptional) {
        copy(p->exceptional, &p->asked.exceptional, p->count);
    }
}

/* Only who waits for octets is concerned by what is behind a descriptor. */
static bool next(const void *set, struct wait_member *m)
{
    const struct selected *p = set;
    int fd = p->readable ? next_member(&p->asked.readable, (int)m->at, p->count) : -1;
    if (fd < 0) {
        return false;
    }
    m->at = (size_t)fd + 1;
    m->stream = stream_of(fd);
    m->reads = true;
    return true;
}

static int add(void *set, const struct wait_member *m)
{
    const struct selected *p = set;
    int fd = (int)m->at - 1;
    bool first = !FD_ISSET(fd, p->readable);
    FD_SET(fd, p->readable);
    return first;
}

/* A connection that is being made is shown as writable, and as readable too if that has failed. */
static void show_set(const fd_set *set, int count, bool attempts, uint32_t events, bool changed, bool *again)
{
    for (int fd = set ? next_member(set, 0, count) : -1; fd >= 0; fd = next_member(set, fd + 1, count)) {
        struct stream *s = stream_of(fd);
        if (s && attempt_is_open(s) == attempts) {
            readiness_shown(s, events, changed, again);
        }
    }
}

/* The sets cannot say more of a connection that has failed than that it is readable, like one with octets: all is shown, or nothing. */
static int show(void *set, int result, bool changed, bool *again)
{
    const struct selected *p = set;
    if (attempts_are_open()) {
        show_set(p->writable, p->count, true, POLLOUT, changed, again);
        show_set(p->readable, p->count, true, POLLIN, changed, again);
    }
    show_set(p->readable, p->count, false, POLLIN, changed, again);
    return result;
}

static int rest(void *set, int64_t left)
{
    (void)set, (void)left; /* what is not shown at all has the call repeated */
    return 0;
}

static bool is_in_reach(const fd_set *set, int count)
{
    return !set || memory_is_readable(set, (size_t)(count + 63) / 64 * 8);
}

/* Within a TLS library's call the gate is passed already: a hand-over waits for this call to return. */
static bool is_own(int count, const fd_set *readable, const fd_set *writable)
{
    int fd = tls_inside_fd();
    return fd >= 0 && fd < count && ((readable && FD_ISSET(fd, readable)) || (writable && FD_ISSET(fd, writable)));
}

/* Octets are waited for on a connection of which nobody knows yet whether it stays there. */
static bool may_change(int count, const fd_set *readable)
{
    for (int fd = -1; readable && (fd = next_member(readable, fd + 1, count)) >= 0;) {
        if (wait_may_change(stream_of(fd))) {
            return true;
        }
    }
    return false;
}

static bool is_watched(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    return count > 0 && count <= FD_SETSIZE && is_in_reach(readable, count)
        && is_in_reach(writable, count) && is_in_reach(exceptional, count) && !is_own(count, readable, writable)
        && (wait_is_watched() || may_change(count, readable));
}

static int sleep_precisely(void *set, struct wait_clock *clock, bool at_once)
{
    static const struct timespec none;
    const struct selected *p = set;
    struct timespec left;
    return REAL(pselect)(p->count, p->readable, p->writable, p->exceptional, at_once ? &none : wait_left(clock, &left), p->mask);
}

static const struct wait_kind precise = { next, sleep_precisely, add, show, rest, restore };

EXPORT int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
                   const sigset_t *mask)
{
    if (!is_watched(count, readable, writable, exceptional)) {
        return REAL(pselect)(count, readable, writable, exceptional, timeout, mask);
    }
    struct selected call = { .count = count, .readable = readable, .writable = writable, .exceptional = exceptional, .mask = mask };
    keep(&call);
    return wait_repeatedly(&precise, &call, timeout);
}

static bool is_empty(const fd_set *set, int count)
{
    return !set || next_member(set, 0, count) < 0;
}

/*
 * Whether the call asks only for one stream's octets, and they are there: the sets are right as they are then. poll(2) of
 * one descriptor costs a fraction of select(2).
 */
static bool has_more(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    int fd = readable ? next_member(readable, 0, count) : -1;
    struct stream *s = fd >= 0 ? stream_of(fd) : NULL;
    /* The kernel writes whole words: what stands there beyond `count` would have to go. */
    int whole = (count + NFDBITS - 1) / NFDBITS * NFDBITS;
    return s && next_member(readable, fd + 1, whole) < 0 && is_empty(writable, whole) && is_empty(exceptional, whole)
        && bulk_has_more(s);
}

/* Some programs wait for as long as the type can say. */
static bool is_longer(const struct timeval *timeout, int64_t piece)
{
    return timeout->tv_sec > INT_MAX || timeout->tv_usec > INT_MAX
        || timeout->tv_sec * 1000000000LL + timeout->tv_usec * 1000LL > piece;
}

/* Linux leaves what was left in the time-out (select(2)): a repetition gets that. */
static int sleep_piece(void *set, struct wait_clock *clock, bool at_once)
{
    const struct selected *p = set;
    struct timeval none = { 0 };
    int64_t piece = wait_piece(clock->many, clock->changes);
    clock->cut = !at_once && piece < INT64_MAX
        && (!p->timeout || (p->timeout->tv_sec >= 0 && p->timeout->tv_usec >= 0 && is_longer(p->timeout, piece)));
    if (!clock->cut) {
        return REAL(select)(p->count, p->readable, p->writable, p->exceptional, at_once ? &none : p->timeout);
    }
    struct timeval left = { .tv_sec = piece / 1000000000, .tv_usec = piece % 1000000000 / 1000 }, begun = left;
    int result = REAL(select)(p->count, p->readable, p->writable, p->exceptional, &left);
    if (p->timeout) {
        struct timeval spent;
        timersub(&begun, &left, &spent);
        timersub(p->timeout, &spent, p->timeout);
    }
    return result;
}

static const struct wait_kind plain = { next, sleep_piece, add, show, rest, restore };

EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
    if (!is_watched(count, readable, writable, exceptional) || (timeout && !memory_is_readable(timeout, sizeof *timeout))) {
        return REAL(select)(count, readable, writable, exceptional, timeout);
    }
    bool invalid = timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0);
    if (!invalid && !agent_is_there() && has_more(count, readable, writable, exceptional)) {
        return 1;
    }
    struct selected call = { .count = count, .readable = readable, .writable = writable, .exceptional = exceptional, .timeout = timeout };
    keep(&call);
    return wait_repeatedly(&plain, &call, NULL);
}
