/*
 * poll.c: poll() and its variants. A wait that a hand-over has disturbed is repeated with what is left of its
 * time-out, and what the next read will not find is not shown (readiness.h).
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>

#include "process/calls.h"
#include "stream/gate.h"
#include "process/memory.h"
#include "stream/readiness.h"
#include "tls/tls.h"
#include "stream/wait.h"

/* Waits for gates that are closed on the way in. */
static void pass_gates(const struct pollfd *fds, nfds_t count)
{
    hand_check();
    if (!atomic_load(&gates_closed)) {
        return;
    }
    for (nfds_t i = 0; i < count; i++) {
        struct stream *s = fds[i].fd >= 0 ? stream_of(fds[i].fd) : NULL;
        if (s && atomic_load(&s->gate)) {
            gate_wait(s);
        }
    }
}

/* What it asks for lies decrypted in a TLS session, where the kernel does not see it. */
static bool has_surplus(const struct pollfd *fd)
{
    struct stream *s = fd->fd >= 0 && fd->events & (POLLIN | POLLRDNORM) ? stream_of(fd->fd) : NULL;
    return s && atomic_load_explicit(&s->surplus, memory_order_relaxed);
}

/* Adds that to what the kernel has found; the new result. */
static int show_surplus(struct pollfd *fds, nfds_t count, int result)
{
    for (nfds_t i = 0; result >= 0 && i < count; i++) {
        if (has_surplus(&fds[i])) {
            result += !fds[i].revents;
            fds[i].revents |= fds[i].events & (POLLIN | POLLRDNORM);
        }
    }
    return result;
}

/* Waits for closed gates, and announces the call to the streams whose gates are open then. True: there is a surplus. */
static bool settle(struct wait_streams *streams, const struct pollfd *fds, nfds_t count)
{
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        pass_gates(fds, count);
        streams->count = 0;
        streams->many = false;
        bool surplus = false;
        for (nfds_t i = 0; i < count; i++) {
            struct stream *s = fds[i].fd >= 0 ? stream_of(fds[i].fd) : NULL;
            if (s && atomic_load_explicit(&s->stage, memory_order_relaxed) == STAGE_OPEN) {
                wait_announce(streams, s);
            }
            surplus = surplus || (s && has_surplus(&fds[i]));
        }
        if (!wait_is_late(streams)) {
            return surplus;
        }
        wait_withdraw(streams);
        if (atomic_load(&gate_changes) == changes) {
            return false; /* one stays closed: whoever sleeps unannounced is not woken by a hand-over */
        }
    }
}

/* Descriptors of which such a call remembers that they are to be left out. */
#define LEFT_OUT 64

/* How long a wait leaves out what must not be shown yet: until another thread has read it, perhaps. */
#define LEFT_OUT_MS 100

/* What the kernel has shown, as the program may see it. Of those of which nothing is left, the bits are set in *silent. */
static int show(struct pollfd *fds, nfds_t count, bool changed, uint64_t *silent, bool *again)
{
    int shown = 0;
    for (nfds_t i = 0; i < count; i++) {
        short before = fds[i].revents;
        struct stream *s = before && fds[i].fd >= 0 ? stream_of(fds[i].fd) : NULL;
        if (s) {
            short may = (short)(fds[i].events | POLLERR | POLLHUP | POLLNVAL);
            fds[i].revents = (short)(readiness_shown(s, (unsigned short)before, changed, again) & (unsigned short)may);
            *silent |= before && !fds[i].revents && i < LEFT_OUT ? 1ULL << i : 0;
        }
        shown += fds[i].revents != 0;
    }
    return shown;
}

/* Nothing may be shown of what the kernel shows all the time: waits a little for the others. Returns what that call returns. */
static int wait_for_others(const struct pollfd *fds, nfds_t count, uint64_t silent, int64_t left, const sigset_t *mask)
{
    struct pollfd others[LEFT_OUT];
    nfds_t few = count < LEFT_OUT ? count : LEFT_OUT;
    for (nfds_t i = 0; i < few; i++) {
        others[i] = fds[i];
        others[i].fd = silent >> i & 1 ? -1 : fds[i].fd;
    }
    int64_t longest = count > LEFT_OUT ? 1 : LEFT_OUT_MS;
    left = left < longest * 1000000 ? left : longest * 1000000;
    struct timespec wait = { 0, left < 0 ? 0 : left };
    return mask ? REAL(ppoll)(others, few, &wait, mask) : REAL(poll)(others, few, (int)(wait.tv_nsec / 1000000));
}

static bool is_in_reach(struct pollfd *fds, nfds_t count)
{
    return count <= INT_MAX && memory_is_readable(fds, count * sizeof *fds);
}

/* poll(), or ppoll() where it is not `plain`, with what is left of the time-out. */
static int poll_watched(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, bool plain)
{
    static const struct timespec at_once;
    struct wait_clock clock;
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        uint32_t changes = atomic_load(&gate_changes);
        struct wait_streams streams;
        bool surplus = settle(&streams, fds, count);
        clock.many = streams.many;
        int result = plain ? REAL(poll)(fds, count, surplus ? 0 : wait_left_ms(&clock))
                           : REAL(ppoll)(fds, count, surplus ? &at_once : wait_left(&clock, &left), mask);
        wait_withdraw(&streams);
        if (surplus && !(result = show_surplus(fds, count, result))) {
            continue; /* another thread has taken it */
        }
        if (!surplus && wait_goes_on(&clock, result)) {
            continue;
        }
        if (result <= 0) {
            return result;
        }
        uint64_t silent = 0;
        bool again = false;
        result = show(fds, count, atomic_load(&gate_changes) != changes, &silent, &again);
        if (!again && (result || wait_is_over(&clock))) {
            return result;
        }
        if (!again && wait_for_others(fds, count, silent, wait_rest(&clock), mask) < 0) {
            return -1;
        }
    }
}

/* Within a TLS library's call the gate is passed already: a hand-over waits for this call to return. */
static bool is_own(struct pollfd *fds, nfds_t count)
{
    int fd = tls_inside_fd();
    for (nfds_t i = 0; fd >= 0 && i < count; i++) {
        if (fds[i].fd == fd) {
            return true;
        }
    }
    return false;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    if (!wait_is_watched() || !is_in_reach(fds, count) || is_own(fds, count)) {
        return REAL(ppoll)(fds, count, timeout, mask);
    }
    return poll_watched(fds, count, timeout, mask, false);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!wait_is_watched() || !is_in_reach(fds, count) || is_own(fds, count)) {
        return REAL(poll)(fds, count, timeout);
    }
    struct timespec limit;
    return poll_watched(fds, count, wait_from_ms(&limit, timeout), NULL, true);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    if (size / sizeof *fds < count) {
        return REAL(__poll_chk)(fds, count, timeout, size); /* aborts the program, as it would without */
    }
    return poll(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
    if (size / sizeof *fds < count) {
        return REAL(__ppoll_chk)(fds, count, timeout, mask, size);
    }
    return ppoll(fds, count, timeout, mask);
}
