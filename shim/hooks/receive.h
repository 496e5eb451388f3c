/*
 * receive.h: the reads that a fast download consists of, all in the frame of the hook.
 *
 * What justifies it: at 10 Gbit/s a read of 16 kB takes 13 µs, and a download through the hooks may take 3 % longer than natively, in wall
 * time and in processor time beside a process with a thread that sleeps (e2e/bench). That leaves 0.4 µs for a read, which is less than
 * one more system call: so the first look is the read itself (at_once.h), and the gate and the counting are bulk.h's. Whatever is out
 * of the ordinary goes the long way, in recv.c.
 */
#ifndef MIDSTREAM_RECEIVE_H
#define MIDSTREAM_RECEIVE_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "process/agent.h"
#include "process/at_once.h"
#include "process/calls.h"
#include "wait/attempt.h"
#include "call/bulk.h"
#include "tls/tls.h"

/*
 * read() and recv() of nothing but flags are not the same where the number is no socket any more. In the place of flags, which may be
 * any int; how is of a wider type therefore.
 */
#define PLAIN_READ INT64_MIN

/* In the place of a name's length: the call is not recvfrom(). Another preloaded library may look at one of them only. */
#define OF_RECV ((socklen_t *)-1)

static inline ssize_t receive(int fd, void *buffer, size_t length, int64_t how, struct sockaddr *from, socklen_t *from_length)
{
    if (from_length == OF_RECV) {
        return how == PLAIN_READ ? REAL(read)(fd, buffer, length) : REAL(recv)(fd, buffer, length, (int)how);
    }
    return REAL(recvfrom)(fd, buffer, length, (int)how, from, from_length);
}

/* Whether a read may wait while the agent is not there. */
static inline int waits_without_agent(struct stream *s, int fd, int flags)
{
    /* What a wait has found counts for one read, whatever comes of it: a later one could wait for ever with nobody to wake it. */
    bool looked = atomic_load_explicit(&s->waits.looked, memory_order_relaxed);
    if (looked) {
        atomic_store_explicit(&s->waits.looked, 0, memory_order_relaxed);
    }
    if (agent_is_there() || flags & MSG_DONTWAIT || atomic_load(&s->stage) != STAGE_OPEN || (looked && !(flags & MSG_WAITALL))) {
        return BLOCKING_NEVER;
    }
    int32_t blocking = atomic_load(&s->blocking);
    if (blocking == BLOCKING_UNKNOWN) {
        int saved = errno, least = 1;
        socklen_t length = sizeof least;
        REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVLOWAT, &least, &length);
        int32_t waiting = least > 1 ? BLOCKING_MORE : BLOCKING_ANY;
        blocking = REAL(fcntl)(fd, F_GETFL, NULL) & O_NONBLOCK ? BLOCKING_NEVER : waiting;
        atomic_store(&s->waiting, waiting);
        atomic_store(&s->blocking, blocking);
        errno = saved;
    }
    return blocking;
}

/*
 * `waits` says whether the read may wait while the agent is not there: it is started then, for nothing else could wake the read if the
 * connection had to be replaced. A wait of the hook's own before that would be ended by signals that restart a read, and one with signals blocked
 * would leave them to other threads.
 */
static inline ssize_t receive_waiting(int waits, int fd, void *buffer, size_t length, int64_t how, struct sockaddr *from,
                               socklen_t *from_length)
{
    if (waits != BLOCKING_NEVER) {
        agent_ensure();
    }
    return receive(fd, buffer, length, how, from, from_length);
}

/* No socket is there any more, or a filter of system calls (seccomp) knows of read() only. */
static inline bool is_denied(int error)
{
    return error == ENOTSOCK || error == EPERM || error == EACCES || error == ENOSYS;
}

/*
 * Whether a read for which there was nothing does not wait indeed. O_NONBLOCK belongs to the connection: a child, or whoever else has
 * another descriptor of it, may have taken it back.
 */
static inline bool does_not_wait(struct stream *s, int fd, int flags)
{
    int saved = errno;
    bool never = flags & MSG_DONTWAIT || REAL(fcntl)(fd, F_GETFL, NULL) & O_NONBLOCK;
    if (!never) {
        atomic_store(&s->blocking, BLOCKING_UNKNOWN);
    }
    errno = saved;
    return never;
}

/* The program's next instruction but few follows that of the system call: see at_once.h. */
static inline __attribute__((always_inline)) ssize_t receive_watched(struct stream *s, int fd, void *buffer, size_t length, int64_t how,
                                                                     struct sockaddr *from, socklen_t *from_length)
{
    int flags = how == PLAIN_READ ? 0 : (int)how, waits = waits_without_agent(s, fd, flags);
    bool never = flags & MSG_DONTWAIT || atomic_load_explicit(&s->blocking, memory_order_relaxed) == BLOCKING_NEVER;
    bool direct = atomic_load_explicit(&at_once_direct, memory_order_relaxed);
    if ((never || waits == BLOCKING_ANY) && length && !from && !(flags & MSG_WAITALL) && (direct || how != PLAIN_READ)) {
        /* In a fast download there mostly is something: that is found out at no cost. */
        int saved = errno;
        ssize_t result = direct ? recv_at_once(fd, buffer, length, flags | MSG_DONTWAIT)
                                : receive(fd, buffer, length, flags | MSG_DONTWAIT, from, from_length);
        if (result >= 0 || (errno == EAGAIN ? never && does_not_wait(s, fd, flags) : !is_denied(errno))) {
            return result;
        }
        waits = errno == EAGAIN ? waits_without_agent(s, fd, flags) : waits;
        errno = saved;
    }
    return receive_waiting(waits, fd, buffer, length, how, from, from_length);
}

/*
 * The reads that a fast download consists of, in the frame of the hook: in the middle of content, and a TLS library's own.
 * False: the read is to be made, or to be repeated, the long way.
 */
static inline __attribute__((always_inline)) bool read_swiftly(struct stream *s, int fd, void *buffer, size_t length, int64_t how,
                                                               ssize_t *result)
{
    struct call call;
    if (how != PLAIN_READ && how & ~MSG_DONTWAIT) {
        return false;
    }
    struct tls *t = atomic_load_explicit(&s->tls, memory_order_acquire);
    if (t) {
        if (!length || t->replay || t->judges || attempt_is_open(s) || !tls_own_traffic(s)) {
            return false;
        }
        *result = receive_watched(s, fd, buffer, length, how, NULL, OF_RECV);
        if (*result > 0) {
            s->present.seen += (uint64_t)*result;
        } else {
            *result = tls_own_result(s, *result);
        }
        return true;
    }
    if (!bulk_begin(&call, s, length)) {
        return false;
    }
    *result = receive_watched(s, fd, buffer, length, how, NULL, OF_RECV);
    return !bulk_end(&call, *result, buffer, length);
}

#endif
