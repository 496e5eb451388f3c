/*
 * hand.c: carries out hand-overs in the program's descriptor table; see hand.h.
 *
 * A hand-over, once the program stands at the offset or need not be waited for:
 *
 *   gate closed → calls under way have left, or sleep → epoll memberships taken out → overlap dropped from the new socket, all that
 *   could refuse has been asked → sleeping calls woken by SHUT_RD → names kept, attributes copied → dup3 → memberships put in →
 *   MS_MOVED → gate opened → old connection reset, or kept.
 *
 * Up to SHUT_RD, or dup3 where nobody sleeps, nothing has been done to the old connection that could not be undone; from there on
 * nothing refuses.
 *
 * What has to be waited for does not block the hand: the stream is put on the pending list and looked at
 * again when something leaves, or after a millisecond.
 */
#include "hand.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stream/caller.h"
#include "process/calls.h"
#include "stream/channel.h"
#include "stream/epoll.h"
#include "stream/epoll_set.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/load.h"
#include "process/own.h"
#include "stream/names.h"
#include "stream/socket.h"
#include "stream/still.h"
#include "process/threads.h"
#include "tls/tls.h"
#include "tls/twin.h"
#include "stream/unchunk.h"
#include "process/withdraw.h"

/* A hand-over that has not come about after so long is given up; the gate is closed meanwhile. */
#define PATIENCE_NS 500000000LL

/* A call that is inside for so long with the gate closed may have been left for good. */
#define LEFT_NS 5000000LL

_Atomic int hand_event = -1;
_Atomic uint32_t hand_there;
_Atomic bool hand_is_outrun;

static _Atomic(struct stream *) due_list;
static struct stream *pending;
static bool told; /* the core knows the names that were looked up before it was there */

void hand_wake(void)
{
    static const uint64_t one = 1;
    int saved = errno;
    atomic_fetch_add(&own_users, 1);
    REAL(write)(atomic_load(&hand_event), &one, sizeof one);
    atomic_fetch_sub(&own_users, 1);
    errno = saved;
}

void hand_due(struct stream *s)
{
    if (!atomic_exchange(&s->due, 1)) {
        struct stream *first = atomic_load(&due_list);
        do {
            atomic_store(&s->due_next, first);
        } while (!atomic_compare_exchange_weak(&due_list, &first, s));
    }
    hand_wake();
}

static void drop(int *fd)
{
    if (*fd >= 0) {
        own_remove(*fd);
        REAL(syscall)(SYS_close, *fd);
        *fd = -1;
    }
}

static void drop_connection(int *fd)
{
    if (*fd >= 0) {
        own_remove(*fd);
        socket_reset(*fd);
        *fd = -1;
    }
}

static void disarm(struct stream *s)
{
    atomic_store(&s->armed, 0);
    atomic_store(&s->counters->stop_at, s->end_at);
    s->decided = false;
    still_end(s, s->fd);
    twin_free(s->next_twin);
    s->next_twin = NULL;
    drop(&s->next_fd);
    drop(&s->old_fd);
}

/* The program has read all that the present socket has for it, and waits at the gate for the core to bring the rest. */
static bool is_at_end(const struct stream *s)
{
    return (int64_t)atomic_load(&s->counters->received) >= s->end_at;
}

static void refuse(struct stream *s, enum ms_why why)
{
    uint64_t exchange = s->arm_exchange;
    int64_t at = (int64_t)s->in.content;
    if (socket_inode(s->fd) == s->inode) {
        epoll_join(s, s->fd);
    }
    disarm(s);
    if (atomic_load(&s->gate) == GATE_HELD) {
        /* Its connection has ended: the core has still to answer that. */
        channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
        return;
    }
    if (s->woken) {
        atomic_store(&s->gate, GATE_HELD);
        /*
         * What cannot be is: SHUT_RD has been used, so the connection cannot go on. The gate stays closed, and the core is told as if
         * the connection had failed. It has not come to an end that a program might take for the content's.
         */
        channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
        channel_send(s, MS_FAILED, MS_HELD, exchange, ECONNRESET, at, NULL, 0);
        return;
    }
    if (!is_at_end(s)) {
        gate_open(s);
    }
    channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
}

static void position(const struct stream *s, struct ms_position *p)
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

/* Why the hand-over is not possible any more, or MS_WHY_NONE. */
static enum ms_why obstacle(struct stream *s)
{
    uint64_t answered = atomic_load(&s->answered), sent = atomic_load(&s->sent);
    bool waiting = sent > answered;
    uint32_t stage = atomic_load(&s->stage);
    if (s->restores || s->decided) {
        return (stage == STAGE_OPEN || stage == STAGE_LEFT) && socket_inode(s->fd) == s->inode ? MS_WHY_NONE : MS_WHY_CLOSED;
    }
    if (stage != STAGE_OPEN && (stage != STAGE_LEFT || s->end_at == MS_NO_STOP)) {
        return MS_WHY_LEFT_ALONE;
    }
    /* With MS_SPARE the child's socket is not reset, and what comes next can be had from nowhere else. */
    if (s->asked.former == MS_RESET && fork_children() != s->forks_told) {
        return MS_WHY_FORKED;
    }
    if (atomic_load(&s->counters->called_off) >= s->arming) {
        return MS_WHY_CALLED_OFF;
    }
    struct tls *t = atomic_load(&s->tls);
    if (s->next_twin && (!t || s->next_twin->session != t)) {
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
    if (s->too_many_epolls) {
        return MS_WHY_EPOLL_MANY;
    }
    if (socket_inode(s->fd) != s->inode) {
        return MS_WHY_REUSED;
    }
    return MS_WHY_NONE;
}

/*
 * Whether the program's thread has another descriptor table than the hand: unshare() and its like may be called past the hooks.
 * What is on its way to the stream's number would not be in that one.
 */
static bool is_elsewhere(const struct stream *s)
{
    char path[64];
    struct stat there;
    uint32_t tid = atomic_load(&s->caller);
    snprintf(path, sizeof path, "/proc/self/task/%u/fd", tid);
    if (!tid || stat(path, &there)) {
        return false; /* it has ended, or there is no /proc */
    }
    snprintf(path, sizeof path, "/proc/self/task/%u/fd/%d", tid, s->next_fd);
    return stat(path, &there) || there.st_ino != socket_inode(s->next_fd);
}

/* Octets of the new socket that the program has already had. True when they are gone. */
static bool drop_overlap(struct stream *s, int64_t at)
{
    while (s->asked.at < at) {
        int64_t excess = at - s->asked.at;
        ssize_t n = s->next_twin ? twin_skip(s->next_twin, excess)
                                 : REAL(recv)(s->next_fd, NULL, (size_t)excess, MSG_TRUNC | MSG_DONTWAIT);
        if (n <= 0) {
            return false;
        }
        s->asked.at += n;
    }
    return true;
}

static void keep_names(struct stream *s)
{
    if (!s->moved) {
        socklen_t length = sizeof s->peer;
        if (REAL(getpeername)(s->fd, (struct sockaddr *)&s->peer, &length)) {
            /* A dead connection has no peer any more; the one noted at the opening is. */
        }
        s->moved = true;
    }
}

/* What is needed afterwards, while it can still be done without. False, with nothing done: there is no descriptor left. */
static bool secure(struct stream *s)
{
    struct rlimit limit;
    if (s->old_fd < 0) {
        s->old_fd = (int)REAL(syscall)(SYS_fcntl, s->fd, F_DUPFD_CLOEXEC, s->next_fd);
        if (s->old_fd >= 0) {
            own_add(s->old_fd);
        }
    }
    /* The program may have lowered its limit below the numbers that it has: dup3 finds those too large. */
    bool allowed = getrlimit(RLIMIT_NOFILE, &limit) || (rlim_t)s->fd < limit.rlim_cur;
    return allowed && (s->old_fd >= 0 || s->asked.former != MS_KEEP);
}

static bool replace(const struct stream *s)
{
    int flags = (int)REAL(syscall)(SYS_fcntl, s->fd, F_GETFD);
    long result;
    do {
        result = REAL(syscall)(SYS_dup3, s->next_fd, s->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    } while (result < 0 && (errno == EINTR || errno == EBUSY));
    return result >= 0;
}

/* Everything has left, the overlap is dropped: the descriptor gets its new socket. */
static void exchange_sockets(struct stream *s)
{
    bool restore = s->restores;
    keep_names(s);
    if (!restore) {
        socket_copy_attributes(s->fd, s->next_fd, !s->relayed);
    }
    int64_t taken = socket_taken(s->next_fd);
    uint64_t inode = socket_inode(s->next_fd), unchunked = unchunk_left(s);
    if (!replace(s)) {
        refuse(s, MS_WHY_NOT_PUT);
        return;
    }
    drop(&s->next_fd);
    int old = s->old_fd;
    s->old_fd = -1;
    s->decided = false;
    if (s->asked.former != MS_RESET) {
        still_end(s, old);
    }
    s->still = false;
    bool surplus = false;
    if (s->next_twin) {
        surplus = twin_swap(s->next_twin, s->fd);
        s->next_twin = NULL;
    }
    struct tls *session = atomic_load(&s->tls);
    /* What waits for another socket delivers nothing: a session on memory goes on with what it has. */
    bool as_it_was = session && aside_is_on(s) && (restore || s->asked.former == MS_KEEP);
    if (session && !as_it_was) {
        tls_plain(session, s->asked.what == MS_PAIR ? s->fd : -1);
    }
    if (session) {
        aside_continue(session, s, !as_it_was);
    }
    atomic_store(&s->surplus, surplus);
    atomic_store(&s->shown, 0);
    epoll_join(s, s->fd);
    s->inode = inode;
    s->seen = 0;
    s->seen_base = taken < 0 ? 0 : (uint64_t)taken;
    s->relayed = s->asked.what == MS_PAIR;
    bool woken = s->woken;
    s->woken = false;
    atomic_fetch_add(&s->generation, 1);
    atomic_store(&s->armed, 0);
    if (s->asked.former == MS_KEEP) {
        s->kept_end = s->end_at;
        s->kept_unchunks = atomic_load(&s->unchunks);
    } else if (!restore) {
        atomic_store(&s->pending_error, 0); /* the old connection's */
    }
    s->end_at = restore ? s->kept_end : s->asked.until;
    if (s->asked.chunk) {
        unchunk_begin(s, s->asked.chunk);
    }
    atomic_store(&s->unchunks, restore ? s->kept_unchunks : s->asked.chunk != 0);
    atomic_store(&s->counters->stop_at, s->end_at);
    struct ms_position p;
    position(s, &p);
    p.unchunked = unchunked;
    if (s->asked.former == MS_KEEP) {
        drop_connection(&s->kept_fd);
        s->kept_fd = old;
    }
    atomic_store(&s->resuming, s->asked.former != MS_KEEP && s->in.phase != MS_IDLE);
    /* Before the program goes on: what it then meets, a failure for instance, is the new connection's. */
    channel_send(s, MS_MOVED, s->asked.former == MS_KEEP ? MS_KEPT : 0, s->arm_exchange, (int64_t)p.received, woken, &p, sizeof p);
    gate_open(s);
    /* The program goes on; the rest is nobody's wait. */
    if (s->asked.former == MS_SPARE) {
        drop(&old);
    }
    if (s->asked.former != MS_KEEP) {
        drop_connection(&old);
        drop_connection(&s->kept_fd);
    }
}

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
    if (s->next_twin) {
        return s->asked.when == MS_NOW || !excess; /* records tell nothing of what they hold */
    }
    return s->asked.when == MS_NOW || (s->asked.place != MS_IN_HEAD && excess >= 0 && socket_unread(s->next_fd) >= excess);
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

/* Whoever stands inside a trailer field can only go on with octets that are known to follow those. */
static bool trailer_agrees(const struct stream *s)
{
    if (s->asked.place == MS_IN_TRAILER) {
        return s->in.phase == MS_TRAILER && (int64_t)s->in.head == s->asked.at;
    }
    return s->asked.former == MS_KEEP || s->in.phase != MS_TRAILER || !s->in.line || s->in.cr;
}

/* How many calls are inside that wait for octets: reads, and looks ahead (MSG_PEEK). */
static uint32_t readers(const struct stream *s)
{
    return (uint32_t)!!atomic_load(&s->reading) + !!atomic_load(&s->peeking) + atomic_load(&s->receiving);
}

/*
 * Calls are inside that are neither reads nor writes: one of them may be epoll_ctl(), whose change to a set must not come
 * between taking the descriptor out of it and putting it in again. No call enters while this looks, but some leave.
 */
static bool others_are_inside(const struct stream *s)
{
    uint32_t inside = atomic_load(&s->inside);
    return inside > readers(s) + !!atomic_load(&s->writing);
}

/* All that are inside are reads that sleep, and may be woken. */
static bool may_be_woken(struct stream *s)
{
    return atomic_load(&s->inside) <= readers(s) && (s->restores || (may_wake(s) && caller_sleeps(s) && still_begin(s)));
}

/* Calls are to leave first. True when they have been waited for in vain. */
static bool wait_for_calls(struct stream *s, int64_t now)
{
    if (now < s->deadline || s->decided) {
        return false; /* a call that has been woken leaves as soon as its thread runs */
    }
    int64_t taken = socket_taken(s->fd);
    refuse(s, taken > (int64_t)(s->seen_base + s->seen) + 1 ? MS_WHY_PAST_HOOKS : MS_WHY_CALL_STAYS);
    return true;
}

/*
 * Whether a look ahead has shown the program more than content: another server's framing and fields are other octets, and it may
 * read as many as those were.
 */
static bool has_shown_framing(const struct stream *s)
{
    uint64_t shown = atomic_load(&((struct stream *)s)->shown);
    bool amid = s->in.phase == MS_LENGTH || s->in.phase == MS_CHUNK_DATA;
    return shown && s->in.phase != MS_CLOSE && !(amid && shown <= s->in.left);
}

/* A bounded connection may end earlier than was meant (unchunk_end): the relay comes there then. */
static void come_earlier(struct stream *s)
{
    if (s->asked.what == MS_PAIR && s->asked.former == MS_SPARE && s->end_at < s->asked.at) {
        s->asked.at = s->end_at;
    }
}

enum verdict {
    GOES,    /* nothing speaks against it */
    WAITS,   /* not yet: it is to be looked at again */
    REOPENS, /* the program has to read on: it will close the gate again (exchange_check_stop) */
    REFUSED,
};

/*
 * Whether the hand-over can be: all that could refuse it is asked here. Nobody reads, or all reads sleep on a connection that is still.
 * To the old connection nothing is done.
 */
static enum verdict judge(struct stream *s, int64_t now, enum ms_why *why)
{
    if ((*why = obstacle(s))) {
        return REFUSED;
    }
    if (s->restores) {
        secure(s);
        return GOES;
    }
    if ((*why = aside_obstacle(s))) {
        return REFUSED;
    }
    bool waiting = atomic_load(&s->sent) > atomic_load(&s->answered), over = s->in.phase == MS_IDLE && !waiting;
    bool reopens = atomic_load(&s->gate) == GATE_CLOSED && !is_at_end(s) && !s->woken;
    if (reopens && has_shown_framing(s)) {
        return REOPENS; /* it is to read them first */
    }
    if (s->asked.place != MS_AT_END && over) {
        *why = MS_WHY_OVER; /* what follows there is no rest of it, not even an empty one */
        return REFUSED;
    }
    int64_t at = (int64_t)s->in.content;
    if (s->asked.place == MS_IN_HEAD || s->asked.place == MS_IN_TRAILER) {
        at = s->in.phase == MS_HEAD || s->in.phase == MS_TRAILER ? (int64_t)s->in.head : 0;
    }
    if (s->asked.place == MS_AT_END) {
        s->asked.at = at;
    }
    bool in_head = s->in.phase == MS_HEAD || (s->in.phase == MS_IDLE && waiting);
    if ((s->asked.place == MS_IN_HEAD) != in_head || (s->asked.place == MS_AT_END && !over)
        || (s->asked.place == MS_IN_HEAD && !s->asked.anywhere && at != s->asked.at)
        || !trailer_agrees(s)) {
        *why = MS_WHY_ELSEWHERE;
        return REFUSED;
    }
    int64_t taken = socket_taken(s->fd);
    int64_t seen = (int64_t)(s->seen_base + s->seen);
    if (!s->woken && taken >= 0 && taken != seen && taken != seen + 1) {
        *why = MS_WHY_PAST_HOOKS;
        return REFUSED;
    }
    if (at < s->asked.at) {
        *why = MS_WHY_NOT_AS_FAR;
        return reopens && s->asked.when == MS_THEN && s->asked.place == MS_IN_CONTENT ? REOPENS : REFUSED;
    }
    if (s->asked.chunk && at != s->asked.at) {
        *why = MS_WHY_FARTHER;
        return REFUSED;
    }
    if (s->asked.what != MS_PAIR && !drop_overlap(s, at)) {
        *why = MS_WHY_NOT_DELIVERED;
        return now < s->deadline ? WAITS : REFUSED;
    }
    struct ms_position p;
    position(s, &p);
    if (s->next_twin && (*why = s->in.phase == MS_LENGTH && s->next_twin->reframes && (uint64_t)s->next_twin->expected.left != s->in.left
                                    ? MS_WHY_OTHER_LENGTH : twin_fits(s->next_twin, &p))) {
        return REFUSED;
    }
    if (!secure(s)) {
        *why = MS_WHY_NO_DESCRIPTOR;
        return REFUSED;
    }
    return GOES;
}

/* Does as the verdict says. True when the stream need not be looked at again. */
static bool heed(struct stream *s, enum verdict verdict, enum ms_why why)
{
    switch (verdict) {
    case REFUSED:
        refuse(s, why);
        if (why == MS_WHY_PAST_HOOKS) {
            stream_leave(s, why);
        }
        return true;
    case REOPENS:
        s->gate_closed_at = 0;
        still_end(s, s->fd);
        epoll_join(s, s->fd);
        gate_open(s);
        return true;
    default:
        still_end(s, s->fd);
        return false;
    }
}

/*
 * The reader has closed the gate for an arming that was gone by then. It waits for the core only where its connection has ended,
 * or has been read as far as it is to be.
 */
static void open_in_vain(struct stream *s)
{
    if (atomic_load(&s->gate) == GATE_CLOSED && !is_at_end(s)) {
        gate_open(s);
    }
}

/* The gate is closed. True when the stream need not be looked at again. */
static bool hand_over(struct stream *s)
{
    if (s->next_fd < 0 || !atomic_load(&s->armed)) {
        open_in_vain(s);
        return true; /* of a held stream, the core's answer will come as a message */
    }
    come_earlier(s);
    enum ms_why why = obstacle(s);
    if (why) {
        refuse(s, why);
        return true;
    }
    if (!s->gate_closed_at && !s->restores && is_elsewhere(s)) {
        refuse(s, MS_WHY_OWN_TABLE);
        stream_leave(s, MS_WHY_OWN_TABLE);
        return true;
    }
    int64_t now = now_ns();
    if (!s->gate_closed_at) {
        s->gate_closed_at = now;
        s->deadline = now + PATIENCE_NS;
    }
    for (int i = 0; i < 200 && others_are_inside(s); i++) {
        sched_yield();
    }
    if (others_are_inside(s)) {
        return wait_for_calls(s, now);
    }
    /* One that has left may have closed it: another file may have the number by now, and memberships of its own. */
    if ((why = obstacle(s))) {
        refuse(s, why);
        return true;
    }
    if ((why = epoll_know(s))) {
        refuse(s, why);
        stream_leave(s, why);
        return true;
    }
    if (!epoll_has_ring()) {
        epoll_part(s, s->fd);
    }
    for (int i = 0; i < 200 && atomic_load(&s->inside); i++) {
        sched_yield();
    }
    if (atomic_load(&s->inside) && now - s->gate_closed_at > LEFT_NS) {
        caller_look(s);
    }
    bool sleep = atomic_load(&s->inside);
    if (sleep && (s->decided || !may_be_woken(s))) {
        return wait_for_calls(s, now);
    }
    enum verdict verdict = judge(s, now, &why);
    if (verdict != GOES) {
        return heed(s, verdict, why);
    }
    epoll_part(s, s->fd);
    if (sleep) {
        wake(s, now);
        for (int i = 0; i < 200 && atomic_load(&s->inside); i++) {
            sched_yield();
        }
        return !atomic_load(&s->inside) && hand_over(s);
    }
    if (has_sleepers(s, now)) {
        return false; /* the overlap has been dropped: the old connection is needed no more */
    }
    exchange_sockets(s);
    return true;
}

static void attempt(struct stream *s)
{
    if (!hand_over(s)) {
        put_off(s);
    }
}

static void look_at_due(void)
{
    struct stream *s = atomic_exchange(&due_list, NULL);
    while (s) {
        struct stream *next = atomic_load(&s->due_next);
        atomic_store(&s->due, 0);
        attempt(s);
        s = next;
    }
    struct stream *waiting = pending;
    pending = NULL;
    while (waiting) {
        struct stream *next = waiting->pending_next;
        attempt(waiting);
        waiting = next;
    }
}

/* What has come is not armed, for a reason that the core is told. */
static void decline(const struct stream *s, uint64_t exchange, int fd, struct twin *twin, enum ms_why why)
{
    own_remove(fd);
    REAL(syscall)(SYS_close, fd);
    twin_free(twin);
    channel_send_why(s, MS_UNMOVED, exchange, 0, 0, why);
}

/* Whether the stream cannot be given what is asked for, whatever the program does next. */
static enum ms_why impediment(const struct stream *s, const struct ms_handover *asked, bool restores)
{
    int least = 1;
    socklen_t size = sizeof least;
    if (atomic_load(&s->stage) != STAGE_OPEN && !restores && s->end_at == MS_NO_STOP) {
        return MS_WHY_LEFT_ALONE;
    }
    if (asked->until != MS_NO_STOP && !REAL(getsockopt)(s->fd, SOL_SOCKET, SO_RCVLOWAT, &least, &size) && least > 1) {
        return MS_WHY_LOW_WATER; /* what stands before the offset may be too little for it to be read at all */
    }
    return MS_WHY_NONE;
}

/* `restores`: the kept connection is put back, of which nobody is told but by MS_MOVED. */
static void arm(struct stream *s, const struct ms_handover *asked, uint64_t exchange, int fd, struct twin *twin, bool restores)
{
    enum ms_why why = impediment(s, asked, restores);
    if (why) {
        decline(s, exchange, fd, twin, why);
        return;
    }
    disarm(s);
    s->next_fd = fd;
    s->next_twin = twin;
    s->asked = *asked;
    s->restores = restores;
    s->arm_exchange = exchange;
    if (twin) {
        twin_expect(twin, &asked->answer, asked->reframed);
    }
    if (twin && asked->when == MS_THEN && (asked->place == MS_IN_CONTENT || asked->place == MS_IN_TRAILER)) {
        s->asked.at += twin_drain(twin);
    }
    come_earlier(s);
    s->gate_closed_at = 0;
    if (asked->when == MS_NOW) {
        atomic_store(&s->armed, 1);
        gate_close(s);
        attempt(s);
        return;
    }
    bool at_end = asked->place == MS_AT_END;
    atomic_store(&s->counters->stop_at, at_end || s->end_at < s->asked.at ? s->end_at : s->asked.at);
    atomic_store(&s->armed, 1);
    /* A reader that passed the offset before it was set does not look again. */
    if (at_end ? atomic_load(&s->answered) >= exchange
               : (int64_t)atomic_load(&s->counters->received) >= s->asked.at || atomic_load(&s->counters->exchange) != exchange) {
        if (gate_close(s) || (is_at_end(s) && atomic_load(&s->gate) == GATE_CLOSED)) {
            attempt(s);
        }
    }
}

/* An MS_ARM, with what came attached to it. */
static void take_arm(struct stream *s, const struct ms_message *m, int fd, const void *data, size_t length)
{
    struct ms_handover asked = { .until = MS_NO_STOP };
    struct twin *twin = NULL;
    memcpy(&asked, data, length < sizeof asked ? length : sizeof asked);
    if (atomic_load(&s->armed)) {
        refuse(s, MS_WHY_REPLACED); /* the core has given it up */
    }
    s->arming = m->arming;
    if (asked.what == MS_SESSION) {
        twin = twin_take(s, asked.twin, &fd);
    }
    if (fd >= 0) {
        arm(s, &asked, m->exchange, fd, twin, false);
    } else {
        channel_send_why(s, MS_UNMOVED, m->exchange, 0, 0, asked.what == MS_SESSION ? MS_WHY_TWIN_ENDED : MS_WHY_NO_DESCRIPTOR);
    }
}

static void give_up(struct stream *s, int error)
{
    if (s->kept_fd >= 0) {
        gate_close(s); /* what it has waited on may end just now, and is not to be taken for its connection */
    }
    atomic_store(&s->counters->guard, 0);
    s->pending_error = error;
    disarm(s);
    if (s->kept_fd < 0) {
        gate_open(s);
        return;
    }
    s->arming = 0;
    struct ms_handover back = { .when = MS_NOW, .until = MS_NO_STOP };
    int kept = s->kept_fd;
    s->kept_fd = -1;
    arm(s, &back, 0, kept, NULL, true);
}

/* Whether octets have left the socket that no hook saw. A read that is under way has taken some before it counts them. */
static bool is_past_hooks(const struct stream *s)
{
    uint64_t before = s->seen;
    bool idle = !atomic_load(&s->inside);
    int64_t taken = socket_taken(s->fd);
    return idle && taken > (int64_t)(s->seen_base + before) + 1 && !atomic_load(&s->inside) && s->seen == before;
}

static void answer(struct stream *s, bool arming)
{
    struct ms_info info;
    quiet_tell(s);
    if (arming) {
        s->forks_told = fork_children();
    }
    memset(&info, 0, sizeof info);
    position(s, &info.position);
    info.forked = fork_children() != s->forks;
    socket_info(s->fd, &info);
    info.past_hooks = is_past_hooks(s);
    channel_send(s, MS_INFO, 0, atomic_load(&s->counters->exchange), 0, 0, &info, sizeof info);
}

static void handle(const struct ms_message *m, int fd, const void *data, size_t length)
{
    struct stream *s = stream_slot(m->slot);
    if (!s || s->id != m->stream || atomic_load(&s->stage) == STAGE_FREE) {
        if (fd >= 0) {
            own_remove(fd);
            REAL(syscall)(SYS_close, fd);
        }
        return;
    }
    switch (m->kind) {
    case MS_ARM:
        take_arm(s, m, fd, data, length);
        break;
    case MS_DISARM:
        if (atomic_load(&s->armed) && s->arming == m->arming && (gate_close(s) || atomic_load(&s->gate) == GATE_HELD)) {
            refuse(s, MS_WHY_CALLED_OFF);
        }
        break;
    case MS_GIVE_UP:
        give_up(s, (int)m->a);
        break;
    case MS_ASK:
        answer(s, m->a == 1);
        break;
    case MS_TWIN:
    case MS_TWIN_WRITE:
    case MS_TWIN_PEEK:
    case MS_TWIN_READ:
    case MS_TWIN_SKIP:
    case MS_TWIN_CLOSE:
    case MS_TWIN_PUT:
        twin_message(s, m, data, length, fd);
        break;
    case MS_TWIN_SHOW:
        twin_show_question(s);
        break;
    case MS_RELEASE:
        twin_stream_gone(s->id);
        disarm(s);
        drop_connection(&s->kept_fd);
        if (atomic_load(&s->gate)) {
            gate_open(s);
        }
        stream_release(s);
        break;
    }
}

/* The core is gone: every stream goes on as it would without Midstream. */
static void core_gone(void)
{
    atomic_store(&load_state, LOAD_FAILED);
    atomic_store(&shared.looks, 0);
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if (stage != STAGE_OPEN && stage != STAGE_LEFT && stage != STAGE_CLOSED) {
            continue;
        }
        if (stage != STAGE_CLOSED && (s->kept_fd >= 0 || atomic_load(&s->gate) == GATE_HELD)) {
            give_up(s, s->held_error);
        } else {
            disarm(s);
            drop_connection(&s->kept_fd);
            atomic_store(&s->counters->guard, 0);
            gate_open(s);
        }
        /* The program may close it meanwhile. */
        stage = STAGE_OPEN;
        if (!atomic_compare_exchange_strong(&s->stage, &stage, STAGE_LEFT)) {
            stream_release(s);
        }
    }
    for (int64_t until = now_ns() + PATIENCE_NS; pending && now_ns() < until;) {
        sched_yield();
        look_at_due();
    }
}

/* So many reads, of up to READ_OCTETS, in so short a time are a download faster than most networks, where each system call counts. */
#define FAST_READS 128
#define FAST_NS 6250000LL

/*
 * So many times in a row, before the hand leaves: a burst is often followed by a pause, in which nobody would start the hand
 * for a migration. 20 MB read by 4 kB are not enough; but the hand does not stay where so many octets are left that the
 * download's processor time counts more.
 */
#define FAST_TIMES 40
#define FAST_TIMES_LONG 2
#define LONG_LEFT (256 << 20)

static _Atomic uint32_t reads;

uint32_t hand_note_read(size_t octets)
{
    uint32_t before = atomic_load_explicit(&reads, memory_order_relaxed), count = before + 1 + (uint32_t)(octets / READ_OCTETS);
    atomic_store_explicit(&reads, count, memory_order_relaxed);
    if (count / FAST_READS != before / FAST_READS && hand_is_there()) {
        hand_wake();
    }
    return count;
}

/* Nothing is under way that only the hand can finish. */
static bool is_idle(void)
{
    uint32_t used = stream_slots_used(), answers = 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        /* Of several downloads one may be waited for by another thread, already, with a hand that is there. */
        answers += atomic_load(&s->stage) == STAGE_OPEN && atomic_load(&s->sent) > atomic_load(&s->answered);
        if (atomic_load(&s->stage) != STAGE_FREE
            && (atomic_load(&s->armed) || s->next_fd >= 0 || s->kept_fd >= 0 || s->end_at != MS_NO_STOP
                || atomic_load(&s->gate))) {
            return false;
        }
    }
    return answers <= 1 && !pending && !atomic_load(&due_list) && !atomic_load(&stream_untold_count);
}

/* How many times a download has to have been fast before the hand leaves. */
static int fast_times(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (atomic_load(&s->stage) == STAGE_OPEN && atomic_load(&s->counters->phase) == MS_LENGTH
            && s->in.length - (int64_t)atomic_load(&s->counters->received) > LONG_LEFT) {
            return FAST_TIMES_LONG;
        }
    }
    return FAST_TIMES;
}

/* The hand leaves; false when something came in at the last moment. */
static bool leave(void)
{
    struct pollfd channel = { .fd = atomic_load(&load_channel), .events = POLLIN };
    atomic_store(&hand_there, 0);
    if (!atomic_load(&shared.wanted) && !atomic_load(&stream_untold_count) && !atomic_load(&due_list) && REAL(poll)(&channel, 1, 0) == 0) {
        return true;
    }
    uint32_t absent = 0;
    return !atomic_compare_exchange_strong(&hand_there, &absent, 1); /* or another one has come */
}

/* False when the channel has ended. */
static bool serve(struct pollfd *wait)
{
    atomic_store(&shared.wanted, 0);
    wait[0].fd = atomic_load(&load_channel);
    wait[1].fd = atomic_load(&hand_event);
    int ready = REAL(poll)(wait, 2, pending || atomic_load(&stream_untold_count) ? 1 : -1);
    if (!told && atomic_load(&load_state) == LOAD_UP) {
        told = true;
        names_flush();
    }
    own_lock();
    if (ready > 0 && wait[1].revents) {
        uint64_t count;
        REAL(read)(atomic_load(&hand_event), &count, sizeof count); /* its number may have changed meanwhile */
    }
    look_at_due();
    if (atomic_load(&stream_untold_count)) {
        stream_tell_closed();
    }
    bool more = true;
    if (ready > 0 && wait[0].revents) {
        static char data[MS_DATA_MAX]; /* there is one hand at a time */
        struct ms_message message;
        int fd;
        ssize_t length = channel_receive(&message, data, sizeof data, &fd);
        more = length >= 0 || errno == EAGAIN;
        if (length >= 0) {
            handle(&message, fd, data, (size_t)length);
        }
    }
    own_unlock();
    return more;
}

static void *hand_main(void *unused)
{
    (void)unused;
    struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };
    threads_begin("midstream-hand");
    load_part_with_core();
    atomic_store(&hand_is_outrun, false);
    uint32_t mark = atomic_load(&reads);
    int64_t since = now_ns();
    int fast = 0;
    while (serve(wait)) {
        uint32_t count = atomic_load(&reads) - mark;
        if (count < FAST_READS) {
            continue;
        }
        int64_t now = now_ns();
        fast = now - since < FAST_NS * (count / FAST_READS) ? fast + 1 : 0;
        bool outrun = fast >= FAST_TIMES_LONG && fast >= fast_times();
        atomic_store_explicit(&hand_is_outrun, outrun, memory_order_relaxed);
        if (outrun && told && is_idle() && leave()) {
            return NULL;
        }
        mark += count;
        since = now;
    }
    core_gone();
    return NULL;
}

void hand_forget(void)
{
    atomic_store(&due_list, NULL);
    pending = NULL;
    told = false;
}

void hand_ensure(void)
{
    uint32_t absent = 0, state = atomic_load(&load_state);
    /* Without a channel it would sleep for ever: where one is being made, it is started afterwards. */
    if ((state != LOAD_UP && state != LOAD_STARTING) || atomic_load(&hand_event) < 0
        || !atomic_compare_exchange_strong(&hand_there, &absent, 1)) {
        return;
    }
    int saved = errno;
    if (!threads_start(hand_main, NULL, 64 * 1024 + PTHREAD_STACK_MIN)) {
        atomic_store(&hand_there, 0);
    }
    errno = saved;
}

void hand_before_other_read(void)
{
    static _Atomic int64_t last;
    int64_t now = coarse_now_ns();
    if (now - atomic_load(&last) > HAND_ABSENCE_MS * 1000000LL) {
        atomic_store(&last, now);
        hand_ensure();
    }
}
