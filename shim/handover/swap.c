/* swap.c: see swap.h. */
#include "swap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "handover.h"
#include "process/calls.h"
#include "process/own.h"
#include "shown.h"
#include "stream/channel.h"
#include "wait/epoll.h"
#include "stream/gate.h"
#include "network/socket.h"
#include "stream/still.h"
#include "call/unchunk.h"
#include "tls/tls.h"
#include "tls/twin.h"

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

bool swap_secure(struct stream *s)
{
    struct rlimit limit;
    if (s->present.fd < 0) {
        s->present.fd = (int)REAL(syscall)(SYS_fcntl, s->fd, F_DUPFD_CLOEXEC, s->next.fd);
        if (s->present.fd >= 0) {
            own_add(s->present.fd);
        }
    }
    /* The program may have lowered its limit below the numbers that it has: dup3 finds those too large. */
    bool allowed = getrlimit(RLIMIT_NOFILE, &limit) || (rlim_t)s->fd < limit.rlim_cur;
    return allowed && (s->present.fd >= 0 || s->asked.former != MS_KEEP);
}

static bool replace(const struct stream *s)
{
    int flags = (int)REAL(syscall)(SYS_fcntl, s->fd, F_GETFD);
    long result;
    do {
        result = REAL(syscall)(SYS_dup3, s->next.fd, s->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    } while (result < 0 && (errno == EINTR || errno == EBUSY));
    return result >= 0;
}

/* What is to be the present connection. */
static struct connection arriving(const struct stream *s)
{
    int64_t taken = socket_taken(s->next.fd);
    struct connection c = { .end = s->asked.until };
    if (s->restores) {
        c = s->kept;
    } else if (s->asked.chunk) {
        unchunk_begin(&c, s->asked.chunk);
    }
    c.inode = socket_inode(s->next.fd);
    c.seen = 0;
    c.seen_base = taken < 0 ? 0 : (uint64_t)taken;
    if (!s->restores) {
        c.relayed = s->asked.what == MS_PAIR;
        c.fed = c.relayed && s->asked.former != MS_KEEP && s->asked.former != MS_PARK;
    }
    return c;
}

/* It is the present one from now on: waits look at that outside the gate. */
static void become_present(struct stream *s, const struct connection *c)
{
    if (s->asked.former == MS_KEEP) {
        int before = s->kept.fd;
        s->kept = s->present;
        s->kept.fd = before;
    }
    s->present.inode = c->inode;
    s->present.seen = c->seen;
    s->present.seen_base = c->seen_base;
    s->present.relayed = c->relayed;
    s->present.fed = c->fed;
    s->present.end = c->end;
    s->present.chunks = c->chunks;
    atomic_store(&s->present.unchunks, c->unchunks);
}

/* The TLS session over the descriptor goes on with what is there now. */
static void swap_session(struct stream *s, const struct connection *c)
{
    bool pending = false;
    if (s->next.twin) {
        pending = twin_swap(s->next.twin, s->fd);
        s->next.twin = NULL;
    }
    struct tls *session = atomic_load(&s->tls);
    /* What waits for another socket delivers nothing: a session on memory goes on with what it has. */
    bool as_it_was = session && membio_is_on(s) && (s->restores || s->asked.former == MS_KEEP);
    if (session && !as_it_was) {
        tls_plain(session, c->relayed ? s->fd : -1, c->fed);
    }
    if (session) {
        membio_continue(session, s, !as_it_was);
    }
    atomic_store(&s->pending, pending);
    atomic_store(&s->shown, shown_content(s));
}

/*
 * The program goes on. Before that the core is told, for what the program then meets, a failure for instance, is the new connection's;
 * after it, what becomes of the former one, `old`, is nobody's wait.
 */
static void go_on(struct stream *s, int old, uint64_t unchunked)
{
    bool kept = s->asked.former == MS_KEEP, woken = s->woken;
    struct ms_position p;
    handover_position(s, &p);
    p.unchunked = unchunked;
    s->woken = false;
    if (kept) {
        handover_reset(&s->kept.fd);
        s->kept.fd = old;
    }
    atomic_store(&s->resuming, !kept && s->in.phase != MS_IDLE);
    channel_send(s, MS_MOVED, kept ? MS_KEPT : 0, s->arm_exchange, (int64_t)p.received, woken, &p, sizeof p);
    gate_open(s);
    if (s->asked.former == MS_SPARE) {
        own_drop(&old);
    }
    if (!kept) {
        handover_reset(&old);
        handover_reset(&s->kept.fd);
    }
}

void swap(struct stream *s)
{
    keep_names(s);
    if (!s->restores) {
        socket_copy_attributes(s->fd, s->next.fd, !s->present.relayed);
    }
    struct connection next = arriving(s);
    uint64_t unchunked = unchunk_left(s);
    if (!replace(s)) {
        handover_refuse(s, MS_WHY_NOT_PUT);
        return;
    }
    own_drop(&s->next.fd);
    int old = s->present.fd;
    s->present.fd = -1;
    s->decided = false;
    if (s->asked.former != MS_RESET && s->asked.former != MS_PARK) {
        still_end(s, old);
    }
    s->still = false;
    swap_session(s, &next);
    if (s->asked.server.sin6_family) {
        s->dialogue.server = s->asked.server;
        s->dialogue.device = s->asked.device;
    }
    epoll_join(s, s->fd);
    become_present(s, &next);
    atomic_fetch_add(&s->generation, 1);
    atomic_store(&s->armed, 0);
    if (s->asked.former != MS_KEEP && !s->restores) {
        atomic_store(&s->pending_error, 0); /* the old connection's */
    }
    atomic_store(&s->counters->stop_at, s->present.end);
    go_on(s, old, unchunked);
}
