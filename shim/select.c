/* select.c: select() and pselect(), repeated like poll() when a hand-over has disturbed them. */
#include <errno.h>
#include <string.h>
#include <sys/select.h>

#include "calls.h"
#include "gate.h"
#include "wait.h"

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

static void pass_gates(int count, const fd_set *readable)
{
    if (!readable || !atomic_load(&gates_closed)) {
        return;
    }
    for (int fd = 0; fd < count; fd++) {
        struct stream *s = FD_ISSET(fd, readable) ? stream_of(fd) : NULL;
        if (s && atomic_load(&s->gate)) {
            gate_wait(s);
        }
    }
}

/* select() shows a failed connection as readable, like one with data. */
static bool is_disturbed(int count, const fd_set *readable, uint32_t changes)
{
    bool changed = atomic_load(&gate_changes) != changes, disturbed = false;
    for (int fd = 0; readable && fd < count; fd++) {
        struct stream *s = FD_ISSET(fd, readable) ? stream_of(fd) : NULL;
        if (s && (changed || stream_ended(s)) && (changed || stream_failed_in_wait(s))) {
            disturbed = true;
        }
    }
    return disturbed;
}

static bool is_set(const fd_set *set)
{
    return !set || IS_POINTER(set);
}

static bool is_watched(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    return atomic_load_explicit(&stream_open_count, memory_order_relaxed) && count > 0 && count <= FD_SETSIZE
        && is_set(readable) && is_set(writable) && is_set(exceptional);
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
    struct wait_clock clock;
    struct sets asked;
    keep(count, &asked, readable, writable, exceptional);
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        uint32_t changes = atomic_load(&gate_changes);
        pass_gates(count, readable);
        int result = REAL(pselect)(count, readable, writable, exceptional, wait_left(&clock, &left), mask);
        if (result <= 0 || !is_disturbed(count, readable, changes)) {
            return result;
        }
        restore(count, &asked, readable, writable, exceptional);
    }
}

EXPORT int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
    if (!is_watched(count, readable, writable, exceptional)) {
        return REAL(select)(count, readable, writable, exceptional, timeout);
    }
    struct sets asked;
    keep(count, &asked, readable, writable, exceptional);
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        pass_gates(count, readable);
        /* Linux leaves what was left in the time-out (select(2)): the repetition gets that. */
        int result = REAL(select)(count, readable, writable, exceptional, timeout);
        if (result <= 0 || !is_disturbed(count, readable, changes)) {
            return result;
        }
        restore(count, &asked, readable, writable, exceptional);
    }
}
