/*
 * epoll.c: epoll_ctl is remembered for tracked descriptors, and waits do not show a failure that the core is about
 * to mend. An epoll set knows file descriptions, not numbers: when the description behind a number changes, its
 * memberships have to be taken out before and put in after.
 */
#include "epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"
#include "calls.h"
#include "fork.h"
#include "gate.h"
#include "wait.h"

/* A surplus has been lent EPOLLOUT for, once at least. */
static _Atomic uint32_t has_lent;

/*
 * What is remembered has to be what the kernel was told last: of two threads that change a membership at once, as those do that
 * share a set with EPOLLONESHOT, the one that the kernel heard first must not be the last one to be remembered. So both is
 * done by one call at a time. It is done at once: who waits for long has interrupted it with a signal handler, or a handler
 * has left it for good.
 */
#define BUSY_NS 50000000LL

static void begin_change(struct stream *s)
{
    if (!atomic_exchange(&s->epolls_busy, 1)) {
        return;
    }
    for (int64_t until = now_ns() + BUSY_NS; atomic_exchange(&s->epolls_busy, 1) && now_ns() < until;) {
        sched_yield();
    }
}

static void end_change(struct stream *s)
{
    atomic_store(&s->epolls_busy, 0);
}

static struct stream_epoll *membership(struct stream *s, int epfd)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        if (s->epolls[i].epfd == epfd) {
            return &s->epolls[i];
        }
    }
    return NULL;
}

static void note(struct stream *s, int epfd, int operation, const struct epoll_event *event, bool lent)
{
    struct stream_epoll *known = membership(s, epfd);
    if (operation == EPOLL_CTL_DEL) {
        if (known) {
            known->epfd = -1;
        }
        return;
    }
    if (!known) {
        known = membership(s, -1);
    }
    if (!known) {
        s->too_many_epolls = true;
        return;
    }
    known->event = *event;
    known->parted = known->fired = false;
    known->lent = lent;
    known->epfd = epfd;
}

/*
 * A surplus lies in a TLS session, while the socket may have nothing to read. But it can be written to: EPOLLOUT, where the
 * program has not asked for it, has the kernel show the descriptor as long as the interest lasts, once for EPOLLET and
 * EPOLLONESHOT, and wakes those who sleep already. The waits make EPOLLIN of it.
 */
static bool lend(const struct stream *s, struct epoll_event *event)
{
    if (!atomic_load(&s->surplus) || !(event->events & EPOLLIN)) {
        return false;
    }
    atomic_store(&has_lent, 1);
    if (event->events & EPOLLOUT) {
        return false;
    }
    event->events |= EPOLLOUT;
    return true;
}

EXPORT int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
    struct stream *s = stream_entry(fd);
    if ((s == STREAM_FRESH || s == STREAM_BOUND) && operation == EPOLL_CTL_ADD && fork_same_process()) {
        /* Joined before connect(): a record is needed to remember it. */
        bool bound = s == STREAM_BOUND;
        fork_watch();
        s = stream_new(fd, AF_UNSPEC);
        if (s) {
            s->bound = bound;
        }
    } else {
        s = stream_of(fd);
    }
    if (!s || !gate_enter(s)) {
        return REAL(epoll_ctl)(epfd, operation, fd, event);
    }
    struct epoll_event other;
    bool lent = false;
    begin_change(s);
    if (atomic_load(&s->surplus) && operation != EPOLL_CTL_DEL && IS_POINTER(event) && fork_is_mine() && fork_same_process()) {
        other = *event;
        lent = lend(s, &other);
    }
    int result = REAL(epoll_ctl)(epfd, operation, fd, lent ? &other : event);
    if (!result && fork_is_mine() && fork_same_process()) {
        note(s, epfd, operation, event, lent);
    }
    int saved = errno;
    end_change(s);
    gate_leave(s);
    errno = saved;
    return result;
}

/* How a membership is put in, and what the kernel shows in any case: nothing that a program asks for. */
#define NOTHING_ASKED ((unsigned)(EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE | EPOLLERR | EPOLLHUP))

/*
 * A EPOLLONESHOT membership that has fired is disabled, which only the kernel knows (proc(5), fdinfo). One that was so when it was
 * put in anew shows errors.
 */
static bool has_fired(int epfd, int fd)
{
    char text[1024];
    snprintf(text, sizeof text, "/proc/self/fdinfo/%d", epfd);
    int info = (int)REAL(syscall)(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
    if (info < 0) {
        return false;
    }
    bool fired = false, done = false;
    size_t kept = 0;
    while (!done) {
        ssize_t n = REAL(read)(info, text + kept, sizeof text - 1 - kept);
        if (n <= 0) {
            break;
        }
        kept += (size_t)n;
        text[kept] = 0;
        char *line = text;
        for (char *end; (end = strchr(line, '\n')); line = end + 1) {
            int tfd;
            unsigned events;
            *end = 0;
            if (sscanf(line, "tfd: %d events: %x", &tfd, &events) == 2 && tfd == fd) {
                fired = !(events & ~NOTHING_ASKED);
                done = true;
                break;
            }
        }
        kept -= (size_t)(line - text);
        memmove(text, line, kept);
    }
    REAL(syscall)(SYS_close, info);
    return fired;
}

void epoll_part(struct stream *s, int fd)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct stream_epoll *e = &s->epolls[i];
        if (e->epfd < 0 || e->parted) {
            continue;
        }
        e->fired = e->event.events & EPOLLONESHOT && e->event.events & ~NOTHING_ASKED && has_fired(e->epfd, fd);
        struct epoll_event unused;
        if (REAL(epoll_ctl)(e->epfd, EPOLL_CTL_DEL, fd, &unused)) {
            e->epfd = -1; /* the set is gone, or was told so past the hooks */
        } else {
            e->parted = true;
        }
    }
}

void epoll_join(struct stream *s, int fd)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct stream_epoll *e = &s->epolls[i];
        if (e->epfd >= 0 && e->parted) {
            struct epoll_event event = e->event;
            if (e->fired) {
                event.events &= EPOLLONESHOT | EPOLLET;
            }
            e->parted = false;
            e->lent = lend(s, &event);
            REAL(epoll_ctl)(e->epfd, EPOLL_CTL_ADD, fd, &event);
        }
    }
}

/* A connection that is being made, or has just been, and that the event may be of. */
static struct stream *attempt_of_event(int epfd, const struct epoll_event *event)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        struct stream_epoll *e = attempt_is_open(s) ? membership(s, epfd) : NULL;
        struct pollfd look = { .fd = s->fd, .events = POLLOUT };
        if (e && e->event.data.u64 == event->data.u64 && REAL(poll)(&look, 1, 0) == 1) {
            return s;
        }
    }
    return NULL;
}

static struct stream *stream_of_event(int epfd, const struct epoll_event *event)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (atomic_load(&s->stage) != STAGE_OPEN) {
            continue;
        }
        struct stream_epoll *e = membership(s, epfd);
        /* A program may give all its descriptors the same data: only one that has failed is meant. */
        if (e && e->event.data.u64 == event->data.u64 && stream_has_failed(s)) {
            return s;
        }
    }
    return NULL;
}

/*
 * The event is of an EPOLLONESHOT membership that had fired and is in the set anew: of such a one the kernel shows how its connection
 * failed, and nothing else. Where a program has asked for something, that comes with it.
 */
static bool is_asleep(struct stream *s, int epfd, uint32_t events)
{
    struct stream_epoll *e = membership(s, epfd);
    return e && e->fired && e->event.events & (EPOLLIN | EPOLLOUT | EPOLLRDHUP) && events & EPOLLHUP
        && !(events & ~(uint32_t)(EPOLLERR | EPOLLHUP));
}

static void change(int epfd, int fd, struct epoll_event *event)
{
    if (REAL(epoll_ctl)(epfd, EPOLL_CTL_MOD, fd, event) && errno == EINVAL && event->events & EPOLLEXCLUSIVE) {
        struct epoll_event unused;
        REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, fd, &unused); /* such a one can only be put in anew (epoll_ctl(2)) */
        REAL(epoll_ctl)(epfd, EPOLL_CTL_ADD, fd, event);
    }
}

/* An event has been kept from the program: where the kernel shows it only once (EPOLLONESHOT, EPOLLET), it has to do so anew. */
static void show_again(struct stream *s, int epfd)
{
    if (!gate_enter(s)) {
        return;
    }
    begin_change(s);
    struct stream_epoll *e = membership(s, epfd);
    if (e && !e->parted && e->event.events & (EPOLLONESHOT | EPOLLET)) {
        struct epoll_event event = e->event;
        e->fired = false;
        e->lent = lend(s, &event);
        change(epfd, s->fd, &event);
    }
    end_change(s);
    gate_leave(s);
}

void epoll_show_all(struct stream *s)
{
    begin_change(s);
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct stream_epoll *e = &s->epolls[i];
        struct epoll_event event = e->event;
        if (e->epfd >= 0 && !e->parted && !e->lent && !(event.events & EPOLLONESHOT) && lend(s, &event)) {
            e->lent = true;
            change(e->epfd, s->fd, &event);
        }
    }
    end_change(s);
}

void epoll_show(struct stream *s)
{
    int saved = errno;
    if (gate_enter(s)) {
        epoll_show_all(s);
        gate_leave(s);
    }
    errno = saved;
}

void epoll_edge(struct stream *s)
{
    int saved = errno;
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct stream_epoll *e = &s->epolls[i];
        /* A disabled one (EPOLLONESHOT) shows what there is as soon as it is enabled. */
        if (e->epfd < 0 || (e->event.events & (EPOLLET | EPOLLONESHOT)) != EPOLLET) {
            continue;
        }
        begin_change(s);
        if (e->epfd >= 0 && !e->parted && !e->lent) {
            change(e->epfd, s->fd, &e->event); /* one that has been taken out shows it when it is put in again */
        }
        end_change(s);
    }
    errno = saved;
}

/* The surplus is gone: what was lent for it is taken back. */
static void take_back(struct stream *s, int epfd)
{
    if (!gate_enter(s)) {
        return;
    }
    begin_change(s);
    struct stream_epoll *e = membership(s, epfd);
    if (e && !e->parted && e->lent && !atomic_load(&s->surplus)) {
        e->lent = e->fired = false;
        change(epfd, s->fd, &e->event);
    }
    end_change(s);
    gate_leave(s);
}

/* Makes EPOLLIN of an EPOLLOUT that was lent. False when nothing is left of the event. */
static bool show_surplus(int epfd, struct epoll_event *event)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        struct stream_epoll *e = stage == STAGE_OPEN || stage == STAGE_LEFT ? membership(s, epfd) : NULL;
        if (!e || e->event.data.u64 != event->data.u64) {
            continue;
        }
        bool surplus = atomic_load(&s->surplus) && e->event.events & EPOLLIN;
        if (!surplus && !e->lent) {
            continue;
        }
        event->events |= surplus ? EPOLLIN : 0;
        if (!(e->event.events & EPOLLOUT)) {
            event->events &= ~(uint32_t)EPOLLOUT;
        }
        if (!surplus) {
            take_back(s, epfd);
        }
        break;
    }
    return event->events;
}

/* Takes failures out that the core mends. Returns how many events are left; -1: wait again. */
static int filter(int epfd, struct epoll_event *events, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        struct stream *attempt = attempts_are_open() ? attempt_of_event(epfd, &events[i]) : NULL;
        if (attempt && attempt_shown(attempt)) {
            show_again(attempt, epfd); /* what is behind it now is in the set, but as one whose event has been shown */
            continue;
        }
        if (events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
            struct stream *s = stream_of_event(epfd, &events[i]);
            if (s && is_asleep(s, epfd, events[i].events)) {
                continue;
            }
            if (s && stream_failed_in_wait(s)) {
                show_again(s, epfd);
                continue;
            }
        }
        if (events[i].events & EPOLLOUT && atomic_load(&has_lent) && !show_surplus(epfd, &events[i])) {
            continue;
        }
        events[kept++] = events[i];
    }
    return kept ? kept : -1;
}

static int wait_events(int epfd, struct epoll_event *events, int count, const struct timespec *timeout, const sigset_t *mask)
{
    struct wait_clock clock;
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        hand_check();
        int result = REAL(epoll_pwait2)(epfd, events, count, wait_left(&clock, &left), mask);
        if (result < 0 && errno == ENOSYS) {
            result = REAL(epoll_pwait)(epfd, events, count, wait_left_ms(&clock), mask);
        }
        if (wait_goes_on(&clock, result)) {
            continue;
        }
        if (result <= 0) {
            return result;
        }
        result = filter(epfd, events, result);
        if (result > 0) {
            return result;
        }
    }
}

/* What was lent may outlast the streams that the core knows. */
static bool is_watched(void)
{
    return atomic_load_explicit(&stream_open_count, memory_order_relaxed) || atomic_load_explicit(&has_lent, memory_order_relaxed)
        || attempts_are_open();
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
    if (!is_watched()) {
        return REAL(epoll_pwait)(epfd, events, count, timeout, mask);
    }
    struct timespec limit;
    return wait_events(epfd, events, count, wait_from_ms(&limit, timeout), mask);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int count, int timeout)
{
    if (!is_watched()) {
        return REAL(epoll_wait)(epfd, events, count, timeout);
    }
    return epoll_pwait(epfd, events, count, timeout, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (!is_watched()) {
        return REAL(epoll_pwait2)(epfd, events, count, timeout, mask);
    }
    return wait_events(epfd, events, count, timeout, mask);
}
