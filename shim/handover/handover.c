/*
 * handover.c: the steps of a hand-over, once the program stands at the offset or need not be waited for; see handover.h.
 *
 * What is done at which step is the table at the end (`steps`). Up to SHUT_RD, or dup3 where nobody sleeps, nothing has been done to the
 * old connection that could not be undone; from there on nothing refuses.
 *
 * What has to be waited for does not block the agent: the stream is put on the pending list, and the steps are gone from the first one on
 * again when something leaves, or after a millisecond.
 */
#include "handover.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "process/calls.h"
#include "process/fork.h"
#include "shown.h"
#include "stream/caller.h"
#include "stream/due.h"
#include "wait/epoll.h"
#include "wait/epoll_set.h"
#include "stream/gate.h"
#include "network/socket.h"
#include "stream/still.h"
#include "swap.h"
#include "tls/tls.h"
#include "tls/twin.h"

/* A call that is inside for so long with the gate closed may have been left for good. */
#define LEFT_NS 5000000LL

/* What a step comes to. */
enum verdict {
    GOES,    /* the next step may be gone */
    WAITS,   /* not yet: it is to be looked at again */
    AGAIN,   /* at once, from the first step on */
    REOPENS, /* the program has to read on: it will close the gate again (exchange_check_stop) */
    REFUSED, /* it cannot be: `why` */
    LEAVES,  /* nor can another one: the stream is left alone, for the same reason */
    DONE,    /* there is nothing more to be done */
};

/* The steps gone at one time. */
struct look {
    struct stream *s;
    int64_t now;
    bool sleep; /* there are reads inside, which sleep */
    enum ms_why why;
};

static enum verdict refused(struct look *l, enum ms_why why)
{
    l->why = why;
    return REFUSED;
}

static enum verdict leaves(struct look *l, enum ms_why why)
{
    l->why = why;
    return LEAVES;
}

/* Why the hand-over is not possible any more, or MS_WHY_NONE. */
static enum ms_why obstacle(struct stream *s)
{
    uint64_t answered = atomic_load(&s->exchanges.answered), sent = atomic_load(&s->exchanges.sent);
    bool waiting = sent > answered;
    uint32_t stage = atomic_load(&s->stage);
    if (s->restores || s->decided) {
        return (stage == STAGE_OPEN || stage == STAGE_LEFT) && socket_inode(s->fd) == s->present.inode ? MS_WHY_NONE : MS_WHY_CLOSED;
    }
    if (stage != STAGE_OPEN && (stage != STAGE_LEFT || s->present.end == MS_NO_STOP)) {
        return MS_WHY_LEFT_ALONE;
    }
    /* With MS_SPARE the child's socket is not reset, and what comes next can be had from nowhere else. */
    if ((s->asked.former == MS_RESET || s->asked.former == MS_PARK) && fork_children() != s->forks_told) {
        return MS_WHY_FORKED;
    }
    if (atomic_load(&s->counters->called_off) >= s->arming) {
        return MS_WHY_CALLED_OFF;
    }
    struct tls *t = atomic_load(&s->tls);
    if (s->next.twin && (!t || s->next.twin->session != t)) {
        return MS_WHY_TLS_ENDED;
    }
    if (t && atomic_load(&t->corked)) {
        return MS_WHY_TLS_CORKED;
    }
    if (t && atomic_load(&t->busy_writing)) {
        return MS_WHY_TLS_WRITES;
    }
    if ((waiting ? answered + 1 : answered) != s->arm_exchange) {
        return MS_WHY_OVER;
    }
    if (sent > s->asked.sent && s->asked.what != MS_PAIR) {
        return MS_WHY_ANOTHER_REQUEST;
    }
    if (s->in.phase == MS_BROKEN) {
        return MS_WHY_MALFORMED;
    }
    if (s->memberships.too_many) {
        return MS_WHY_EPOLL_MANY;
    }
    if (socket_inode(s->fd) != s->present.inode) {
        return MS_WHY_REUSED;
    }
    return MS_WHY_NONE;
}

/*
 * Whether the program's thread has another descriptor table than the agent: unshare() and its like may be called past the hooks.
 * What is on its way to the stream's number would not be in that one.
 */
static bool is_elsewhere(const struct stream *s)
{
    char path[64];
    struct stat there;
    uint32_t tid = atomic_load(&s->callers.last);
    snprintf(path, sizeof path, "/proc/self/task/%u/fd", tid);
    if (!tid || stat(path, &there)) {
        return false; /* it has ended, or there is no /proc */
    }
    snprintf(path, sizeof path, "/proc/self/task/%u/fd/%d", tid, s->next.fd);
    return stat(path, &there) || there.st_ino != socket_inode(s->next.fd);
}

/* Octets of the new socket that the program has already had. True when they are gone. */
static bool drop_overlap(struct stream *s, int64_t at)
{
    while (s->asked.at < at) {
        int64_t excess = at - s->asked.at;
        ssize_t n = s->next.twin ? twin_skip(s->next.twin, excess)
                                 : REAL(recv)(s->next.fd, NULL, (size_t)excess, MSG_TRUNC | MSG_DONTWAIT);
        if (n <= 0) {
            return false;
        }
        s->asked.at += n;
    }
    return true;
}

/*
 * Whether a blocked reader may be woken by SHUT_RD, after which the old connection cannot go on: where it need not, or
 * where the new one has delivered all that is to be dropped of it.
 */
static bool may_wake(const struct stream *s)
{
    if (s->asked.former == MS_SPARE) {
        return false; /* it has to go on, and the reader that has come to the offset is on its way out */
    }
    int64_t excess = (int64_t)atomic_load(&s->counters->received) - s->asked.at;
    if (s->next.twin) {
        return s->asked.when == MS_NOW || !excess; /* records tell nothing of what they hold */
    }
    return s->asked.when == MS_NOW || (s->asked.place != MS_IN_HEAD && excess >= 0 && socket_unread(s->next.fd) >= excess);
}

/*
 * Sleepers in poll() and select() get so long to leave, on a busy machine, too; one that has left by siglongjmp is still
 * counted.
 */
#define SLEEPERS_NS 100000000LL

/* Nothing refuses any more. Sleeping calls on the old connection are to wake up, and leave. */
static void wake(struct stream *s, int64_t now)
{
    s->decided = true;
    if (!s->woken) {
        s->woken = true;
        s->roused_at = now;
        REAL(shutdown)(s->fd, SHUT_RD);
    }
}

/*
 * Wakes those in poll() and select(): one that still sleeps when the number gets another socket sleeps on for ever. True while
 * they have not left.
 */
static bool has_sleepers(struct stream *s, int64_t now)
{
    if (!stream_sleepers(s)) {
        return false;
    }
    wake(s, now);
    for (int i = 0; i < 200 && stream_sleepers(s); i++) {
        sched_yield();
    }
    if (now - s->roused_at > SLEEPERS_NS) {
        stream_no_sleepers(s); /* the next hand-over need not wait for those */
    }
    return stream_sleepers(s);
}

/* How many calls are inside that wait for octets: reads, and looks ahead (MSG_PEEK). */
static uint32_t readers(const struct stream *s)
{
    return (uint32_t)!!atomic_load(&s->callers.reading) + !!atomic_load(&s->callers.peeking) + atomic_load(&s->callers.receiving);
}

/*
 * Calls are inside that are neither reads nor writes: one of them may be epoll_ctl(), whose change to a set must not come
 * between taking the descriptor out of it and putting it in again. No call enters while this looks, but some leave.
 */
static bool others_are_inside(const struct stream *s)
{
    uint32_t inside = atomic_load(&s->gate.inside);
    return inside > readers(s) + !!atomic_load(&s->callers.writing);
}

/* All that are inside are reads that sleep, and may be woken. */
static bool may_be_woken(struct stream *s)
{
    return atomic_load(&s->gate.inside) <= readers(s) && (s->restores || (may_wake(s) && caller_sleeps(s) && still_begin(s)));
}

/* Calls are to leave first. */
static enum verdict wait_for_calls(struct look *l)
{
    struct stream *s = l->s;
    if (l->now < s->deadline || s->decided) {
        return WAITS; /* a call that has been woken leaves as soon as its thread runs */
    }
    int64_t taken = socket_taken(s->fd);
    return refused(l, taken > (int64_t)(s->present.seen_base + s->present.seen) + 1 ? MS_WHY_PAST_HOOKS : MS_WHY_CALL_STAYS);
}

/*
 * The reader has closed the gate for an arming that was gone by then. It waits for the core only where its connection has ended,
 * or has been read as far as it is to be.
 */
static void open_in_vain(struct stream *s)
{
    if (atomic_load(&s->gate.state) == GATE_CLOSED && !handover_is_at_end(s)) {
        gate_open(s);
    }
}

/* It is asked for, and possible. */
static enum verdict is_asked(struct look *l)
{
    struct stream *s = l->s;
    if (s->next.fd < 0 || !atomic_load(&s->armed)) {
        open_in_vain(s);
        return DONE; /* of a held stream, the core's answer will come as a message */
    }
    handover_come_earlier(s);
    enum ms_why why = obstacle(s);
    if (why) {
        return refused(l, why);
    }
    if (!s->gate_closed_at && !s->restores && is_elsewhere(s)) {
        return leaves(l, MS_WHY_OWN_TABLE);
    }
    if (!s->gate_closed_at) {
        s->gate_closed_at = l->now = now_ns();
        s->deadline = l->now + HANDOVER_PATIENCE_NS;
    }
    return GOES;
}

/* Calls that are neither reads nor writes have left. */
static enum verdict others_have_left(struct look *l)
{
    for (int i = 0; i < 200 && others_are_inside(l->s); i++) {
        sched_yield();
    }
    return others_are_inside(l->s) ? wait_for_calls(l) : GOES;
}

/* Its epoll sets are known; it is taken out of them, unless an io_uring would see that. */
static enum verdict sets_are_known(struct look *l)
{
    struct stream *s = l->s;
    /* A call that has left may have closed it: another file may have the number by now, and memberships of its own. */
    enum ms_why why = obstacle(s);
    if (why) {
        return refused(l, why);
    }
    if ((why = epoll_know(s))) {
        return leaves(l, why);
    }
    if (!epoll_has_ring()) {
        epoll_part(s, s->fd);
    }
    return GOES;
}

/* Nobody is inside but reads that sleep, on a connection that is still, and that may be woken. */
static enum verdict calls_have_left(struct look *l)
{
    struct stream *s = l->s;
    for (int i = 0; i < 200 && atomic_load(&s->gate.inside); i++) {
        sched_yield();
    }
    if (atomic_load(&s->gate.inside) && l->now - s->gate_closed_at > LEFT_NS) {
        caller_look(s);
    }
    l->sleep = atomic_load(&s->gate.inside);
    return l->sleep && (s->decided || !may_be_woken(s)) ? wait_for_calls(l) : GOES;
}

/* The same still holds as when it was asked for, but for the place. */
static enum verdict is_possible(struct look *l)
{
    enum ms_why why = obstacle(l->s);
    why = why || l->s->restores ? why : membio_obstacle(l->s);
    return why ? refused(l, why) : GOES;
}

/* Whoever stands inside a trailer field can only go on with octets that are known to follow those. */
static bool trailer_agrees(const struct stream *s)
{
    if (s->asked.place == MS_IN_TRAILER) {
        return s->in.phase == MS_TRAILER && (int64_t)s->in.head == s->asked.at;
    }
    return s->asked.former == MS_KEEP || s->in.phase != MS_TRAILER || !s->in.line || s->in.cr;
}

/* The program may be let through, to read on to the place. */
static bool may_reopen(const struct stream *s)
{
    return atomic_load(&s->gate.state) == GATE_CLOSED && !handover_is_at_end(s) && !s->woken;
}

/* Where the program stands, in the octets that `asked.at` counts. */
static int64_t place_of(const struct stream *s)
{
    if (s->asked.place == MS_IN_HEAD || s->asked.place == MS_IN_TRAILER) {
        return s->in.phase == MS_HEAD || s->in.phase == MS_TRAILER ? (int64_t)s->in.head : 0;
    }
    return (int64_t)s->in.content;
}

/* The program stands in that part of the response that was meant. */
static enum verdict part_agrees(struct look *l)
{
    struct stream *s = l->s;
    bool waiting = atomic_load(&s->exchanges.sent) > atomic_load(&s->exchanges.answered), over = s->in.phase == MS_IDLE && !waiting;
    if (s->restores) {
        return GOES;
    }
    if (may_reopen(s) && shown_is_to_be_read(s)) {
        return REOPENS;
    }
    if (s->asked.place != MS_AT_END && over) {
        return refused(l, MS_WHY_OVER); /* what follows there is no rest of it, not even an empty one */
    }
    int64_t at = place_of(s);
    if (s->asked.place == MS_AT_END) {
        s->asked.at = at;
    }
    bool in_head = s->in.phase == MS_HEAD || (s->in.phase == MS_IDLE && waiting);
    if ((s->asked.place == MS_IN_HEAD) != in_head || (s->asked.place == MS_AT_END && !over)
        || (s->asked.place == MS_IN_HEAD && !s->asked.anywhere && at != s->asked.at)
        || !trailer_agrees(s)) {
        return refused(l, MS_WHY_ELSEWHERE);
    }
    return GOES;
}

/* All octets that have left the socket were counted. */
static enum verdict all_were_seen(struct look *l)
{
    const struct stream *s = l->s;
    int64_t taken = s->restores ? -1 : socket_taken(s->fd), seen = (int64_t)(s->present.seen_base + s->present.seen);
    return !s->woken && taken >= 0 && taken != seen && taken != seen + 1 ? leaves(l, MS_WHY_PAST_HOOKS) : GOES;
}

/* What comes on the new socket next is what the program has to have next. */
static enum verdict octets_agree(struct look *l)
{
    struct stream *s = l->s;
    int64_t at = place_of(s);
    if (s->restores) {
        return GOES;
    }
    if (at < s->asked.at) {
        bool reopens = may_reopen(s) && s->asked.when != MS_NOW && s->asked.place == MS_IN_CONTENT;
        return reopens ? REOPENS : refused(l, MS_WHY_NOT_AS_FAR);
    }
    if ((s->asked.chunk || (s->asked.when == MS_THERE && s->asked.place == MS_IN_CONTENT)) && at != s->asked.at) {
        return refused(l, MS_WHY_FARTHER);
    }
    if (s->asked.what != MS_PAIR && !drop_overlap(s, at)) {
        if (l->now >= s->deadline) {
            return refused(l, MS_WHY_NOT_DELIVERED);
        }
        still_end(s, s->fd);
        return WAITS;
    }
    if (!s->decided && l->now < s->deadline && shown_is_to_come(s)) {
        still_end(s, s->fd);
        return WAITS;
    }
    if (!s->next.twin) {
        return GOES;
    }
    struct ms_position p;
    handover_position(s, &p);
    bool other = s->in.phase == MS_LENGTH && s->next.twin->reframes && (uint64_t)s->next.twin->expected.left != s->in.left;
    enum ms_why why = other ? MS_WHY_OTHER_LENGTH : twin_fits(s->next.twin, &p);
    return why ? refused(l, why) : GOES;
}

/* What is needed afterwards is there. Nothing refuses any more. */
static enum verdict is_secured(struct look *l)
{
    bool secured = swap_secure(l->s);
    return secured || l->s->restores ? GOES : refused(l, MS_WHY_NO_DESCRIPTOR);
}

/* Sleeping reads have been woken, and have left. */
static enum verdict sleepers_have_left(struct look *l)
{
    struct stream *s = l->s;
    epoll_part(s, s->fd);
    if (l->sleep) {
        wake(s, l->now);
        for (int i = 0; i < 200 && atomic_load(&s->gate.inside); i++) {
            sched_yield();
        }
        return atomic_load(&s->gate.inside) ? WAITS : AGAIN;
    }
    return has_sleepers(s, l->now) ? WAITS : GOES; /* the overlap has been dropped: the old connection is needed no more */
}

static enum verdict is_swapped(struct look *l)
{
    gate_change(l->s, true);
    if (others_are_inside(l->s)) {
        gate_change(l->s, false); /* one has lost patience meanwhile */
        return WAITS;
    }
    swap(l->s);
    return DONE;
}

/* In this order. None but the last two does anything to the old connection. */
static enum verdict (*const steps[])(struct look *) = {
    is_asked,
    others_have_left,
    sets_are_known,
    calls_have_left,
    is_possible,
    part_agrees,
    all_were_seen,
    octets_agree,
    is_secured,
    sleepers_have_left,
    is_swapped,
};

/* The gate is closed. True when the stream need not be looked at again. */
static bool hand_over(struct stream *s)
{
    struct look l = { .s = s, .now = now_ns() };
    enum verdict verdict = GOES;
    for (size_t i = 0; verdict == GOES; i++) {
        verdict = steps[i](&l);
        if (verdict == AGAIN) {
            l = (struct look){ .s = s, .now = now_ns() };
            verdict = GOES;
            i = (size_t)-1;
        }
    }
    switch (verdict) {
    case REFUSED:
    case LEAVES:
        handover_refuse(s, l.why);
        if (verdict == LEAVES) {
            stream_leave(s, l.why);
        }
        return true;
    case REOPENS:
        s->gate_closed_at = 0;
        still_end(s, s->fd);
        epoll_join(s, s->fd);
        gate_open(s);
        return true;
    default:
        return verdict == DONE;
    }
}

void handover_position(const struct stream *s, struct ms_position *p)
{
    memset(p, 0, sizeof *p);
    p->received = s->in.content;
    p->phase = s->in.phase;
    p->line = s->in.line;
    p->cr = s->in.cr;
    p->chunk_digits = s->in.digits;
    if (s->in.phase == MS_CHUNK_DATA) {
        p->chunk_left = s->in.left;
    } else if (s->in.phase == MS_CHUNK_SIZE || s->in.phase == MS_CHUNK_EXT || s->in.phase == MS_CHUNK_SIZE_LF) {
        p->chunk_size = s->in.left;
    }
}

/* Those that wait. */
static struct stream *pending;

static void put_off(struct stream *s)
{
    for (struct stream *p = pending; p; p = p->pending_next) {
        if (p == s) {
            return;
        }
    }
    s->pending_next = pending;
    pending = s;
}

void handover_look(struct stream *s)
{
    if (!hand_over(s)) {
        put_off(s);
    }
}

void handover_look_at_due(void)
{
    for (struct stream *s = due_take(), *next; s; s = next) {
        next = due_next(s);
        handover_look(s);
    }
    struct stream *waiting = pending;
    pending = NULL;
    while (waiting) {
        struct stream *next = waiting->pending_next;
        handover_look(waiting);
        waiting = next;
    }
}

bool handover_is_pending(void)
{
    return pending;
}

void handover_forget_pending(void)
{
    pending = NULL;
}
