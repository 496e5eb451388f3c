/*
 * epoll.c: epoll_ctl is remembered for tracked descriptors, and waits do not show what the next read will not find
 * (readiness.h). An epoll set knows file descriptions, not numbers: when the description behind a number changes, its
 * memberships have to be taken out before and put in after.
 */
#include "epoll.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "attempt.h"
#include "process/calls.h"
#include "above.h"
#include "epoll_set.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/memory.h"
#include "readiness.h"
#include "network/socket.h"
#include "wait.h"

/* Pending plaintext has been lent EPOLLOUT for, once at least. */
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
    if (!atomic_exchange(&s->memberships.busy, 1)) {
        return;
    }
    for (int64_t until = now_ns() + BUSY_NS; atomic_exchange(&s->memberships.busy, 1) && now_ns() < until;) {
        sched_yield();
    }
}

static void end_change(struct stream *s)
{
    atomic_store(&s->memberships.busy, 0);
}

static struct membership *membership(struct stream *s, int epfd)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        if (s->memberships.list[i].epfd == epfd) {
            return &s->memberships.list[i];
        }
    }
    return NULL;
}

static void note(struct stream *s, int epfd, int operation, const struct epoll_event *event, bool lent)
{
    struct membership *known = membership(s, epfd);
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
        s->memberships.too_many = true;
        return;
    }
    known->event = *event;
    known->parted = known->fired = known->silenced = false;
    known->lent = lent;
    known->told = event->events | (lent ? EPOLLOUT : 0);
    known->epfd = epfd;
}

/*
 * Pending plaintext lies in a TLS session, while the socket may have nothing to read. But it can be written to: EPOLLOUT, where the
 * program has not asked for it, has the kernel show the descriptor as long as the interest lasts, once for EPOLLET and
 * EPOLLONESHOT, and wakes those who sleep already. The waits make EPOLLIN of it.
 */
static bool lend(const struct stream *s, struct epoll_event *event)
{
    if (!atomic_load(&s->pending) || !(event->events & EPOLLIN)) {
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
    if (atomic_load(&s->pending) && operation != EPOLL_CTL_DEL && memory_is_readable(event, sizeof *event) && fork_is_mine() && fork_same_process()) {
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

/* The kernel knows the membership otherwise than it was told here: somebody has changed it past the hooks. */
static bool is_news(const struct membership *e, const struct epoll_entry *entry)
{
    const unsigned always = EPOLLERR | EPOLLHUP;
    return e->event.data.u64 != entry->data || ((e->told ^ entry->events) & ~always && !entry->fired);
}

/* What the kernel knows of a membership, which may have come about past the hooks. False: there is no room for it. */
static bool take_over(struct stream *s, int epfd, const struct epoll_entry *entry)
{
    struct membership *e = membership(s, epfd);
    bool known = e, still = known && e->fired && !(entry->events & ~NOTHING_ASKED);
    if (!known && !(e = membership(s, -1))) {
        s->memberships.too_many = true;
        return false;
    }
    if (!known || is_news(e, entry)) {
        *e = (struct membership){ .epfd = epfd, .told = entry->events };
        e->event.events = entry->events;
        e->event.data.u64 = entry->data;
    }
    e->fired = entry->fired || still; /* one that was disabled when it was put in anew looks otherwise */
    return true;
}

/* One stream's search in one set, or in all sets of the process. */
struct search {
    struct stream *stream; /* NULL: all that there are */
    uint64_t inode;        /* of that one */
    int epfd;
    unsigned found;        /* bit n: membership n is in that set */
    bool other_number;     /* the connection is in a set by another number */
};

static void find(struct search *search, const struct epoll_entry *entry)
{
    struct stream *s = search->stream ? search->stream : stream_of(entry->fd);
    if (!s || (!search->stream && atomic_load(&s->stage) != STAGE_OPEN)
        || (search->stream ? search->inode : s->present.inode) != entry->inode) {
        return;
    }
    if (s->fd != entry->fd) {
        search->other_number = true;
    } else if (take_over(s, search->epfd, entry)) {
        search->found |= 1U << (membership(s, search->epfd) - s->memberships.list);
    }
}

/* Looks for streams in a set. False: it is not to be looked into. */
static bool look_into(struct search *search)
{
    struct epoll_listing listing;
    struct epoll_entry entry;
    if (!epoll_list(&listing, search->epfd)) {
        return false;
    }
    while (epoll_next(&listing, &entry)) {
        find(search, &entry);
    }
    return true;
}

enum ms_why epoll_know(struct stream *s)
{
    struct epoll_sets sets;
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        if (s->memberships.list[i].epfd >= 0 && s->memberships.list[i].parted) {
            return MS_WHY_NONE; /* all was known when it was taken out */
        }
    }
    if (!epoll_survey(&sets)) {
        return epoll_has_ring() ? MS_WHY_EPOLL_UNKNOWN : MS_WHY_NONE;
    }
    if (!epoll_has_ring()) {
        return MS_WHY_NONE;
    }
    struct search search = { .stream = s, .inode = socket_inode(s->fd) };
    for (int i = 0; i < sets.count; i++) {
        search.epfd = sets.fds[i];
        if (!look_into(&search)) {
            return MS_WHY_EPOLL_UNKNOWN;
        }
    }
    if (sets.more || s->memberships.too_many) {
        return MS_WHY_EPOLL_SETS_MANY;
    }
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        s->memberships.list[i].epfd = search.found >> i & 1 ? s->memberships.list[i].epfd : -1;
    }
    return search.other_number ? MS_WHY_EPOLL_NUMBER : MS_WHY_NONE;
}

/* An EPOLLONESHOT membership that has fired is disabled: the kernel tells, or the waits have seen it. */
static void ask_whether_fired(struct stream *s)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct membership *e = &s->memberships.list[i];
        if (e->epfd >= 0 && !e->parted && e->event.events & EPOLLONESHOT && e->event.events & ~NOTHING_ASKED) {
            struct search search = { .stream = s, .inode = socket_inode(s->fd), .epfd = e->epfd };
            look_into(&search);
        }
    }
}

void epoll_part(struct stream *s, int fd)
{
    ask_whether_fired(s);
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct membership *e = &s->memberships.list[i];
        if (e->epfd < 0 || e->parted) {
            continue;
        }
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
        struct membership *e = &s->memberships.list[i];
        if (e->epfd >= 0 && e->parted) {
            struct epoll_event event = e->event;
            if (e->fired) {
                event.events &= EPOLLONESHOT | EPOLLET;
            }
            e->parted = e->silenced = false;
            e->lent = lend(s, &event);
            e->told = event.events;
            REAL(epoll_ctl)(e->epfd, EPOLL_CTL_ADD, fd, &event);
        }
    }
}

static void change(struct membership *e, int fd, struct epoll_event *event)
{
    int epfd = e->epfd;
    e->told = event->events;
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
    struct membership *e = membership(s, epfd);
    if (e && !e->parted && e->event.events & (EPOLLONESHOT | EPOLLET)) {
        struct epoll_event event = e->event;
        e->fired = e->silenced = false;
        e->lent = lend(s, &event);
        change(e, s->fd, &event);
    }
    end_change(s);
    gate_leave(s);
}

void epoll_show_all(struct stream *s)
{
    begin_change(s);
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        struct membership *e = &s->memberships.list[i];
        struct epoll_event event = e->event;
        if (e->epfd >= 0 && !e->parted && !e->lent && !(event.events & EPOLLONESHOT) && lend(s, &event)) {
            e->lent = true;
            change(e, s->fd, &event);
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
        struct membership *e = &s->memberships.list[i];
        /* A disabled one (EPOLLONESHOT) shows what there is as soon as it is enabled. */
        if (e->epfd < 0 || (!e->silenced && (e->event.events & (EPOLLET | EPOLLONESHOT)) != EPOLLET)) {
            continue;
        }
        begin_change(s);
        if (e->epfd >= 0 && !e->parted && !e->lent) {
            e->silenced = false;
            change(e, s->fd, &e->event); /* one that has been taken out shows it when it is put in again */
        }
        end_change(s);
    }
    errno = saved;
}

/* The plaintext is gone: what was lent for it is taken back. */
static void take_back(struct stream *s, int epfd)
{
    if (!gate_enter(s)) {
        return;
    }
    begin_change(s);
    struct membership *e = membership(s, epfd);
    if (e && !e->parted && e->lent && !atomic_load(&s->pending)) {
        e->lent = e->fired = false;
        change(e, s->fd, &e->event);
    }
    end_change(s);
    gate_leave(s);
}

/* What the kernel would show all the time is not to be seen before unread octets are: shown once more, and then no more. */
static void silence(struct stream *s, int epfd)
{
    if (!gate_enter(s)) {
        return;
    }
    begin_change(s);
    struct membership *e = membership(s, epfd);
    if (e && !e->parted && !e->silenced && !(e->event.events & (EPOLLET | EPOLLONESHOT))) {
        struct epoll_event event = e->event;
        event.events |= EPOLLET;
        e->silenced = true;
        change(e, s->fd, &event);
    }
    end_change(s);
    gate_leave(s);
}

/* Makes EPOLLIN of an EPOLLOUT that was lent. */
static void show_pending(struct stream *s, int epfd, struct epoll_event *event)
{
    struct membership *e = membership(s, epfd);
    bool pending = atomic_load(&s->pending) && e->event.events & EPOLLIN;
    if (!pending && !e->lent) {
        return;
    }
    event->events |= pending ? EPOLLIN : 0;
    if (!(e->event.events & EPOLLOUT)) {
        event->events &= ~(uint32_t)EPOLLOUT;
    }
    if (!pending) {
        take_back(s, epfd);
    }
}

/*
 * The event is of an EPOLLONESHOT membership that had fired and is in the set anew: of such a one the kernel shows how its connection
 * failed, and nothing else. Where a program has asked for something, that comes with it.
 */
static bool is_asleep(const struct membership *e, uint32_t events)
{
    return e->fired && e->event.events & (EPOLLIN | EPOLLOUT | EPOLLRDHUP) && events & EPOLLHUP
        && !(events & ~(uint32_t)(EPOLLERR | EPOLLHUP));
}

/*
 * Whether an event is of this stream: a program may give all its descriptors the same data. Of those that have such data, one that has
 * none of the event is not meant.
 */
static bool is_of(const struct stream *s, uint32_t events)
{
    struct pollfd look = { .fd = s->fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
    return REAL(poll)(&look, 1, 0) == 1 && (unsigned short)look.revents & events;
}

/* An event of a stream, as the program may see it; nothing in it is left where it is not to. */
static void judge(struct stream *s, int epfd, struct epoll_event *event)
{
    struct membership *e = membership(s, epfd);
    uint32_t before = event->events;
    bool attempt = attempt_is_open(s), again = false;
    if (atomic_load(&has_lent) && before & EPOLLOUT && !attempt) {
        show_pending(s, epfd, event);
    }
    if ((attempt || before & READINESS_FAILURE || e->event.events & EPOLLONESHOT) && !is_of(s, before)) {
        return;
    }
    if (!attempt && is_asleep(e, before)) {
        event->events = 0;
        return;
    }
    if (!event->events) {
        return; /* it was of plaintext that is gone: there is no end to be silent about */
    }
    event->events = readiness_shown(s, event->events, false, &again);
    if (again) {
        event->events = 0;
        show_again(s, epfd); /* what is behind it now is in the set, but as one whose event has been shown */
    } else if (!event->events) {
        silence(s, epfd);
    } else if (e->event.events & EPOLLONESHOT) {
        e->fired = true;
    }
}

/* Streams of which a wait may have to change what is shown. */
static bool is_judged(const struct stream *s)
{
    uint32_t stage = atomic_load(&((struct stream *)s)->stage);
    return attempt_is_open(s) || stage == STAGE_OPEN || (stage == STAGE_LEFT && atomic_load(&has_lent));
}

/* Data of events as a set of bits, so that most streams, which have none of them, cost one look. */
static uint64_t bit_of(uint64_t data)
{
    return 1ULL << (data * 0x9e3779b97f4a7c15ULL >> 58);
}

static bool is_in_none(const struct stream *s)
{
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        if (s->memberships.list[i].epfd >= 0) {
            return false;
        }
    }
    return true;
}

/* Streams that have come into the set past the hooks are looked for, once, and where one has ended that is in none. */
static void learn(int epfd)
{
    uint32_t used = epoll_has_ring() ? stream_slots_used() : 0;
    bool needed = false;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (atomic_load(&s->stage) == STAGE_OPEN && !membership(s, epfd)
            && ((s->memberships.sought_in != epfd && is_in_none(s)) || (ending_would_hold(s) && readiness_of(s) == READINESS_END))) {
            s->memberships.sought_in = epfd;
            needed = true;
        }
    }
    struct search search = { .epfd = epfd };
    if (needed) {
        look_into(&search);
    }
}

/* Takes out what the program is not to see. Returns how many events are left; -1: wait again. */
static int filter(int epfd, struct epoll_event *events, int count)
{
    uint64_t bits = 0;
    learn(epfd);
    for (int i = 0; i < count; i++) {
        bits |= bit_of(events[i].data.u64);
    }
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        struct membership *e = is_judged(s) ? membership(s, epfd) : NULL;
        for (int i = 0; e && bits & bit_of(e->event.data.u64) && i < count; i++) {
            if (events[i].events && e->event.data.u64 == events[i].data.u64) {
                judge(s, epfd, &events[i]);
            }
        }
    }
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (events[i].events) {
            events[kept++] = events[i];
        }
    }
    return kept ? kept : -1;
}

static int wait_events(int epfd, struct epoll_event *events, int count, const struct timespec *timeout, const sigset_t *mask)
{
    struct wait_clock clock;
    wait_start(&clock, timeout);
    for (;;) {
        struct timespec left;
        agent_check();
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
    if (!is_watched() || (timeout && !memory_is_readable(timeout, sizeof *timeout))) {
        return REAL(epoll_pwait2)(epfd, events, count, timeout, mask);
    }
    return wait_events(epfd, events, count, timeout, mask);
}
