/*
 * poll.c: poll() and its variants. A wait that a hand-over has disturbed is repeated with what is left of its
 * time-out, and a failure that the core mends is not shown.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "calls.h"
#include "gate.h"
#include "tls.h"
#include "unchunk.h"
#include "wait.h"

/* Waits for gates that are closed on the way in. */
static void pass_gates(const struct pollfd *fds, nfds_t count)
{
    hand_check();
    if (!atomic_load(&gates_closed) || !IS_POINTER(fds)) {
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
        if (!IS_POINTER(fds)) {
            return false; /* the kernel says what is wrong with it */
        }
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

/* True when an event comes from a hand-over or from a failure that is being mended. */
static bool is_disturbed(const struct pollfd *fds, nfds_t count, uint32_t changes)
{
    bool changed = atomic_load(&gate_changes) != changes, disturbed = false;
    for (nfds_t i = 0; i < count; i++) {
        if (!fds[i].revents) {
            continue;
        }
        struct stream *s = fds[i].fd >= 0 ? stream_of(fds[i].fd) : NULL;
        if (!s) {
            continue;
        }
        if (attempt_is_open(s)) {
            disturbed = attempt_shown(s) || disturbed;
        } else if (changed && fds[i].revents & (POLLIN | POLLERR | POLLHUP | POLLRDHUP)) {
            disturbed = true;
        } else if (fds[i].revents & (POLLERR | POLLHUP | POLLRDHUP) && stream_failed_in_wait(s)) {
            disturbed = true;
        } else if (fds[i].revents & (POLLIN | POLLRDNORM) && !unchunk_is_readable(s)) {
            disturbed = true;
        }
    }
    return disturbed;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    /* Within a TLS library's call the gate is passed already: a hand-over waits for this call to return. */
    if (!wait_is_watched() || tls_inside()) {
        return REAL(ppoll)(fds, count, timeout, mask);
    }
    static const struct timespec at_once;
    struct wait_clock clock;
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        uint32_t changes = atomic_load(&gate_changes);
        struct wait_streams streams;
        bool surplus = settle(&streams, fds, count);
        clock.many = streams.many;
        int result = REAL(ppoll)(fds, count, surplus ? &at_once : wait_left(&clock, &left), mask);
        wait_withdraw(&streams);
        if (surplus && !(result = show_surplus(fds, count, result))) {
            continue; /* another thread has taken it */
        }
        if (!surplus && wait_goes_on(&clock, result)) {
            continue;
        }
        if (result <= 0 || !is_disturbed(fds, count, changes)) {
            return result;
        }
    }
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!wait_is_watched() || tls_inside()) {
        return REAL(poll)(fds, count, timeout);
    }
    struct timespec limit;
    struct wait_clock clock;
    wait_start(&clock, wait_from_ms(&limit, timeout));
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        struct wait_streams streams;
        bool surplus = settle(&streams, fds, count);
        clock.many = streams.many;
        int result = REAL(poll)(fds, count, surplus ? 0 : wait_left_ms(&clock));
        wait_withdraw(&streams);
        if (surplus && !(result = show_surplus(fds, count, result))) {
            continue; /* another thread has taken it */
        }
        if (!surplus && wait_goes_on(&clock, result)) {
            continue;
        }
        if (result <= 0 || !is_disturbed(fds, count, changes)) {
            return result;
        }
    }
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
