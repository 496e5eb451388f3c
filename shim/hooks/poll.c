/*
 * poll.c: poll() and its variants. A wait that a hand-over has disturbed is repeated with what is left of its
 * time-out, and what the next read will not find is not shown (wait_loop.h).
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>

#include "process/calls.h"
#include "process/memory.h"
#include "wait/wait_loop.h"
#include "tls/tls.h"

/* A call, as wait_loop.h has it. */
struct polled {
    struct pollfd *fds;
    nfds_t count;
    const sigset_t *mask;
    bool plain;      /* poll(), not ppoll() */
    uint64_t silent; /* bits of those of which the kernel has shown what is not to be shown */
};

static bool next(const void *set, struct wait_member *m)
{
    const struct polled *p = set;
    if (m->at >= p->count) {
        return false;
    }
    const struct pollfd *fd = &p->fds[m->at++];
    m->stream = fd->fd >= 0 ? stream_of(fd->fd) : NULL;
    m->reads = fd->events & (POLLIN | POLLRDNORM);
    return true;
}

static int sleep_for(void *set, struct wait_clock *clock, bool at_once)
{
    static const struct timespec none;
    struct polled *p = set;
    struct timespec left;
    return p->plain ? REAL(poll)(p->fds, p->count, at_once ? 0 : wait_left_ms(clock))
                    : REAL(ppoll)(p->fds, p->count, at_once ? &none : wait_left(clock, &left), p->mask);
}

static int add(void *set, const struct wait_member *m)
{
    struct pollfd *fd = &((struct polled *)set)->fds[m->at - 1];
    bool first = !fd->revents;
    fd->revents |= fd->events & (POLLIN | POLLRDNORM);
    return first;
}

/* Descriptors of which such a call remembers that they are to be left out. */
#define LEFT_OUT 64

/* How long a wait leaves out what must not be shown yet: until another thread has read it, perhaps. */
#define LEFT_OUT_MS 100

/* Of those of which nothing is left, the bits are set in `silent`. */
static int show(void *set, int result, bool changed, bool *again)
{
    struct polled *p = set;
    int shown = 0;
    (void)result;
    p->silent = 0;
    for (nfds_t i = 0; i < p->count; i++) {
        struct pollfd *fd = &p->fds[i];
        short before = fd->revents;
        struct stream *s = before && fd->fd >= 0 ? stream_of(fd->fd) : NULL;
        if (s) {
            short may = (short)(fd->events | POLLERR | POLLHUP | POLLNVAL);
            fd->revents = (short)(readiness_shown(s, (unsigned short)before, changed, again) & (unsigned short)may);
            p->silent |= before && !fd->revents && i < LEFT_OUT ? 1ULL << i : 0;
        }
        shown += fd->revents != 0;
    }
    return shown;
}

/* Nothing may be shown of what the kernel shows all the time: waits a little for the others. */
static int rest(void *set, int64_t left)
{
    const struct polled *p = set;
    struct pollfd others[LEFT_OUT];
    nfds_t few = p->count < LEFT_OUT ? p->count : LEFT_OUT;
    for (nfds_t i = 0; i < few; i++) {
        others[i] = p->fds[i];
        others[i].fd = p->silent >> i & 1 ? -1 : p->fds[i].fd;
    }
    int64_t longest = p->count > LEFT_OUT ? 1 : LEFT_OUT_MS;
    left = left < longest * 1000000 ? left : longest * 1000000;
    struct timespec wait = { 0, left < 0 ? 0 : left };
    return p->mask ? REAL(ppoll)(others, few, &wait, p->mask) : REAL(poll)(others, few, (int)(wait.tv_nsec / 1000000));
}

static void restore(void *set)
{
    (void)set; /* the kernel sets revents anew */
}

static const struct wait_kind kind = { next, sleep_for, add, show, rest, restore };

static bool is_in_reach(struct pollfd *fds, nfds_t count)
{
    return count <= INT_MAX && memory_is_readable(fds, count * sizeof *fds);
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

/* There are streams to mind, or octets are waited for on a connection of which nobody knows yet whether it stays there. */
static bool is_watched(const struct pollfd *fds, nfds_t count)
{
    bool watched = wait_is_watched();
    for (nfds_t i = 0; !watched && i < count; i++) {
        watched = fds[i].events & (POLLIN | POLLRDNORM) && fds[i].fd >= 0 && wait_may_change(stream_of(fds[i].fd));
    }
    return watched;
}

static bool lasts(const struct timespec *timeout)
{
    return !timeout || timeout->tv_sec * 1000 > WAIT_LONGEST_MS;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    bool plain = !wait_is_watched() && (!stream_slots_used() || (timeout && !memory_is_readable(timeout, sizeof *timeout)) || !lasts(timeout));
    if (plain || !is_in_reach(fds, count) || !is_watched(fds, count) || is_own(fds, count)) {
        return REAL(ppoll)(fds, count, timeout, mask);
    }
    struct polled call = { .fds = fds, .count = count, .mask = mask };
    return wait_repeatedly(&kind, &call, timeout);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    bool plain = !wait_is_watched() && (!stream_slots_used() || (timeout >= 0 && timeout <= WAIT_LONGEST_MS));
    if (plain || !is_in_reach(fds, count) || !is_watched(fds, count) || is_own(fds, count)) {
        return REAL(poll)(fds, count, timeout);
    }
    struct timespec limit;
    struct polled call = { .fds = fds, .count = count, .plain = true };
    return wait_repeatedly(&kind, &call, wait_from_ms(&limit, timeout));
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
