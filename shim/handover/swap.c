/* swap.c: see swap.h. */
#include "swap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "handover.h"
#include "process/calls.h"
#include "process/own.h"
#include "stream/channel.h"
#include "stream/epoll.h"
#include "stream/gate.h"
#include "stream/socket.h"
#include "stream/still.h"
#include "stream/unchunk.h"
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

void swap(struct stream *s)
{
    bool restore = s->restores;
    keep_names(s);
    if (!restore) {
        socket_copy_attributes(s->fd, s->next_fd, !s->relayed);
    }
    int64_t taken = socket_taken(s->next_fd);
    uint64_t inode = socket_inode(s->next_fd), unchunked = unchunk_left(s);
    if (!replace(s)) {
        handover_refuse(s, MS_WHY_NOT_PUT);
        return;
    }
    own_drop(&s->next_fd);
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
    handover_position(s, &p);
    p.unchunked = unchunked;
    if (s->asked.former == MS_KEEP) {
        handover_reset(&s->kept_fd);
        s->kept_fd = old;
    }
    atomic_store(&s->resuming, s->asked.former != MS_KEEP && s->in.phase != MS_IDLE);
    /* Before the program goes on: what it then meets, a failure for instance, is the new connection's. */
    channel_send(s, MS_MOVED, s->asked.former == MS_KEEP ? MS_KEPT : 0, s->arm_exchange, (int64_t)p.received, woken, &p, sizeof p);
    gate_open(s);
    /* The program goes on; the rest is nobody's wait. */
    if (s->asked.former == MS_SPARE) {
        own_drop(&old);
    }
    if (s->asked.former != MS_KEEP) {
        handover_reset(&old);
        handover_reset(&s->kept_fd);
    }
}
