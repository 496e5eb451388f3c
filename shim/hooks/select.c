/* select.c: select() and pselect(), repeated like poll() when a hand-over has disturbed them. */
#include <errno.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

#include "stream/bulk.h"
#include "process/calls.h"
#include "stream/gate.h"
#include "process/memory.h"
#include "stream/readiness.h"
#include "tls/tls.h"
#include "stream/wait.h"

/* Larger sets than the C library's own type are passed through: their size is not known here. */
struct sets {
    fd_set readable, writable, exceptional;
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

static void pass_gates(int count, const fd_set *readable)
{
    hand_check();
    if (!readable || !atomic_load(&gates_closed)) {
        return;
    }
    for (int fd = next_member(readable, 0, count); fd >= 0; fd = next_member(readable, fd + 1, count)) {
        struct stream *s = stream_of(fd);
        if (s && atomic_load(&s->gate)) {
            gate_wait(s);
        }
    }
}

/* Those whose next octets lie decrypted in a TLS session, where the kernel does not see them, are readable, too. */
static int show_surplus(int count, const fd_set *asked, fd_set *readable, int result)
{
    for (int fd = readable ? next_member(asked, 0, count) : -1; result >= 0 && fd >= 0; fd = next_member(asked, fd + 1, count)) {
        struct stream *s = stream_of(fd);
        if (s && atomic_load(&s->surplus) && !FD_ISSET(fd, readable)) {
            FD_SET(fd, readable);
            result++;
        }
    }
    return result;
}

/* False when a gate has been closed meanwhile. */
static bool announce(struct wait_streams *streams, int count, const fd_set *readable, bool *surplus)
{
    streams->count = 0;
    streams->many = false;
    *surplus = false;
    for (int fd = 0; readable && fd < count; fd++) {
        struct stream *s = FD_ISSET(fd, readable) ? stream_of(fd) : NULL;
        if (s && atomic_load_explicit(&s->stage, memory_order_relaxed) == STAGE_OPEN) {
            wait_announce(streams, s);
        }
        *surplus = *surplus || (s && atomic_load_explicit(&s->surplus, memory_order_relaxed));
    }
    if (!wait_is_late(streams)) {
        return true;
    }
    wait_withdraw(streams);
    return false;
}

/* Waits for closed gates, and announces the call to those that are open then. True: there is a surplus. */
static bool settle(struct wait_streams *streams, int count, const fd_set *readable)
{
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        pass_gates(count, readable);
        bool surplus;
        if (announce(streams, count, readable, &surplus)) {
            return surplus;
        }
        if (atomic_load(&gate_changes) == changes) {
            return false; /* one stays closed: whoever sleeps unannounced is not woken by a hand-over */
        }
    }
}

/* A connection that is being made is shown as writable, and as readable too if that has failed. */
static bool shows_attempts(int count, const fd_set *set)
{
    bool disturbed = false;
    for (int fd = set ? next_member(set, 0, count) : -1; fd >= 0; fd = next_member(set, fd + 1, count)) {
        struct stream *s = stream_of(fd);
        if (s && attempt_is_open(s)) {
            disturbed = attempt_shown(s) || disturbed;
        }
    }
    return disturbed;
}

/* select() shows a failed connection as readable, like one with data. */
static bool is_disturbed(int count, const fd_set *readable, const fd_set *writable, uint32_t changes)
{
    bool changed = atomic_load(&gate_changes) != changes, disturbed = false;
    if (attempts_are_open()) {
        disturbed = shows_attempts(count, writable);
        disturbed = shows_attempts(count, readable) || disturbed;
    }
    if (!readable) {
        return disturbed;
    }
    for (int fd = next_member(readable, 0, count); fd >= 0; fd = next_member(readable, fd + 1, count)) {
        struct stream *s = stream_of(fd);
        if (s && !attempt_is_open(s)) {
            readiness_shown(s, POLLIN, changed, &disturbed);
        }
    }
    return disturbed;
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

static bool is_watched(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    return wait_is_watched() && count > 0 && count <= FD_SETSIZE && is_in_reach(readable, count)
        && is_in_reach(writable, count) && is_in_reach(exceptional, count) && !is_own(count, readable, writable);
}

static void restore(int count, const struct sets *asked, fd_set *readable, fd_set *writable, fd_set *exceptional)
{
    if (readable) {
        copy(readable, &asked->readable, count);
    }
    if (writable) {
        copy(writable, &asked->writable, count);
    }
    if (exceptional) {
        copy(exceptional, &asked->exceptional, count);
    }
}

static void keep(int count, struct sets *asked, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    copy(&asked->readable, readable, count);
    copy(&asked->writable, writable, count);
    copy(&asked->exceptional, exceptional, count);
}

EXPORT int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
                   const sigset_t *mask)
{
    if (!is_watched(count, readable, writable, exceptional)) {
        return REAL(pselect)(count, readable, writable, exceptional, timeout, mask);
    }
    static const struct timespec at_once;
    struct wait_clock clock;
    struct sets asked;
    keep(count, &asked, readable, writable, exceptional);
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        uint32_t changes = atomic_load(&gate_changes);
        struct wait_streams streams;
        bool surplus = settle(&streams, count, readable);
        clock.many = streams.many;
        int result = REAL(pselect)(count, readable, writable, exceptional, surplus ? &at_once : wait_left(&clock, &left), mask);
        wait_withdraw(&streams);
        if (surplus) {
            result = show_surplus(count, &asked.readable, readable, result);
        }
        if (surplus ? !result : wait_goes_on(&clock, result)) {
            restore(count, &asked, readable, writable, exceptional);
            continue;
        }
        if (result <= 0 || !is_disturbed(count, readable, writable, changes)) {
            return result;
        }
        restore(count, &asked, readable, writable, exceptional);
    }
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

/* Linux leaves what was left in the time-out (select(2)): a repetition gets that. `cut`: not the whole wait. */
static int select_piece(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout,
                        bool many, bool *cut)
{
    int64_t piece = wait_piece(many);
    *cut = piece < INT64_MAX && (!timeout || (timeout->tv_sec >= 0 && timeout->tv_usec >= 0 && is_longer(timeout, piece)));
    if (!*cut) {
        return REAL(select)(count, readable, writable, exceptional, timeout);
    }
    struct timeval left = { .tv_sec = piece / 1000000000, .tv_usec = piece % 1000000000 / 1000 }, begun = left;
    int result = REAL(select)(count, readable, writable, exceptional, &left);
    if (timeout) {
        struct timeval spent;
        timersub(&begun, &left, &spent);
        timersub(timeout, &spent, timeout);
    }
    return result;
}

EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
    if (!is_watched(count, readable, writable, exceptional) || (timeout && !memory_is_readable(timeout, sizeof *timeout))) {
        return REAL(select)(count, readable, writable, exceptional, timeout);
    }
    bool invalid = timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0);
    if (!invalid && !hand_is_there() && has_more(count, readable, writable, exceptional)) {
        return 1;
    }
    struct sets asked;
    keep(count, &asked, readable, writable, exceptional);
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        bool cut = false;
        struct timeval at_once = { 0 };
        struct wait_streams streams;
        bool surplus = settle(&streams, count, readable);
        int result = surplus ? REAL(select)(count, readable, writable, exceptional, &at_once)
                             : select_piece(count, readable, writable, exceptional, timeout, streams.many, &cut);
        wait_withdraw(&streams);
        if (surplus) {
            result = show_surplus(count, &asked.readable, readable, result);
        }
        if (result == 0 && cut) {
            wait_piece_over();
        } else if (surplus && !result) {
            /* another thread has taken it */
        } else if (result <= 0 || !is_disturbed(count, readable, writable, changes)) {
            return result;
        }
        restore(count, &asked, readable, writable, exceptional);
    }
}
