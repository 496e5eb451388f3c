/* recv.c: every call that reads from a socket. Reads are counted, held at the offset of a hand-over, and repeated after it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "process/calls.h"
#include "process/agent.h"
#include "process/memory.h"
#include "receive.h"
#include "wait/attempt.h"
#include "stream/names.h"
#include "call/ending.h"
#include "tls/tls.h"
#include "call/unchunk.h"

/* Buffers of one clamped vector; a shorter read is always allowed. */
#define CLAMPED_MAX 8

/*
 * Whether the handler that has just run ends a blocked read (sigaction(2), SA_RESTART). poll() does not tell: so it is where all
 * of the program's handlers do. Those of the core are left out: they are for other signals, and restart.
 */
static bool signals_interrupt(void)
{
    bool some = false;
    int saved = errno; /* the C library keeps some of the signals to itself, and says EINVAL */
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction action;
        if (signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGURG || sigaction(signal, NULL, &action)
            || (!(action.sa_flags & SA_SIGINFO) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))) {
            continue;
        }
        some = !(action.sa_flags & SA_RESTART);
        if (!some) {
            break;
        }
    }
    errno = saved;
    return some;
}

static ssize_t receive_vector(struct stream *s, int fd, struct msghdr *message, int64_t how)
{
    int flags = how == PLAIN_READ ? 0 : (int)how;
    if (waits_without_agent(s, fd, flags) != BLOCKING_NEVER) {
        agent_ensure();
    }
    return how == PLAIN_READ ? REAL(readv)(fd, message->msg_iov, (int)message->msg_iovlen) : REAL(recvmsg)(fd, message, flags);
}

/*
 * A read of a program whose TLS session works on memory, and has octets for it there: not one that waits. -1: as without.
 */
static ssize_t fill(const struct call *call, const struct iovec *vector, size_t count, int flags)
{
    struct stream *s = call->stream;
    char octet;
    if (!call->counted || flags & MSG_PEEK || !atomic_load_explicit(&s->pending, memory_order_relaxed)
        || !count || !memory_is_readable(vector, sizeof *vector) || !vector->iov_len || !memory_is_readable(vector->iov_base, vector->iov_len)) {
        return -1;
    }
    int saved = errno;
    bool nothing = REAL(recv)(s->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    errno = saved;
    size_t n = nothing ? membio_fill(s, vector->iov_base, vector->iov_len) : 0;
    return n ? (ssize_t)n : -1;
}

/* Octets that are none of the response's: urgent data, and what the kernel has to say of octets that were sent (MSG_ERRQUEUE). */
static bool is_aside(struct stream *s, int flags)
{
    if (flags & MSG_OOB && !(flags & MSG_ERRQUEUE)) {
        stream_leave(s, MS_WHY_URGENT);
    }
    return flags & (MSG_OOB | MSG_ERRQUEUE);
}

/* The program gets no octets that could be moved together in its buffer: those that it has looked at, or drops. */
static bool is_looked_over(int flags)
{
    return flags & (MSG_PEEK | MSG_TRUNC);
}

/* What the program gets of octets that the kernel has given; 0 with raw above 0: nothing yet. */
static ssize_t without_chunks(struct call *call, void *octets, ssize_t raw, int flags)
{
    if (raw <= 0 || flags & MSG_PEEK) {
        return raw;
    }
    if (flags & MSG_TRUNC) {
        unchunk_took(call, raw);
        return raw;
    }
    return unchunk(call, octets, raw);
}

/* The first buffer of a vector that takes any octets, or its last one. */
static size_t first_buffer(const struct iovec *vector, size_t count)
{
    size_t i = 0;
    while (i + 1 < count && !vector[i].iov_len) {
        i++;
    }
    return i;
}

/* How long a read sleeps at a time, in ms, whose thread may be wanted for something else. */
#define QUESTION_MS 200

/* A read of a TLS library's own may be made, and wait. False, with errno: it is broken off, for the call to judge (twin_ask), or by a signal. */
static bool may_wait(struct tls *t, int fd, int flags)
{
    struct timeval limit = { 0 };
    socklen_t length = sizeof limit;
    int saved = errno;
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    if (flags & MSG_DONTWAIT || REAL(fcntl)(fd, F_GETFL, NULL) & O_NONBLOCK
        || REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length) || limit.tv_sec || limit.tv_usec) {
        errno = saved;
        return true;
    }
    for (int found; (found = REAL(poll)(&readable, 1, QUESTION_MS)) <= 0;) {
        if (found < 0 && errno == EINTR && signals_interrupt()) {
            return false;
        }
        if (atomic_load(&t->asked)) {
            t->kept.asked = true;
            errno = EAGAIN;
            return false;
        }
        if (!found) {
            agent_ensure();
        }
    }
    errno = saved;
    return true;
}

/* How long such a read sleeps at a time: another thread may have put something else on the descriptor meanwhile. */
#define ANSWER_LONGEST_NS 1000000000LL

/*
 * The first read of a handshake: what it finds may not be the program's to see (attempt.h). False, with errno: it has nothing to
 * return yet, or is ended by a signal.
 */
static __attribute__((noinline)) bool await_answer(struct stream *s, int fd, int flags)
{
    struct timeval limit = { 0 };
    socklen_t length = sizeof limit;
    int saved = errno;
    bool waits = !(flags & MSG_DONTWAIT || REAL(fcntl)(fd, F_GETFL, NULL) & O_NONBLOCK);
    if (REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length)) {
        limit = (struct timeval){ 0 };
    }
    int64_t bound = limit.tv_sec * 1000000000LL + limit.tv_usec * 1000LL, begun = coarse_now_ns();
    while (attempt_is_greeted(s)) {
        struct pollfd look = { .fd = fd, .events = POLLIN };
        int64_t left = attempts_left(), rest = bound ? begun + bound - coarse_now_ns() : left;
        left = waits ? (rest < left ? rest : left) : 0;
        left = left < ANSWER_LONGEST_NS ? left : ANSWER_LONGEST_NS;
        int found = REAL(poll)(&look, 1, left > 0 ? (int)(left / 1000000) + 1 : 0);
        if (found < 0 && errno == EINTR && (bound || signals_interrupt())) {
            return false; /* with a time-out, by any handler (signal(7)) */
        }
        attempts_look();
        if (found > 0 && !attempt_shown(s, POLLIN)) {
            break;
        }
        if (!waits || (bound && coarse_now_ns() - begun >= bound)) {
            errno = EAGAIN;
            return false;
        }
    }
    errno = saved;
    return true;
}

/* A TLS library's own. */
static ssize_t read_own(struct stream *s, int fd, void *buffer, size_t length, int64_t how, struct sockaddr *from,
                        socklen_t *from_length)
{
    ssize_t result;
    if (!tls_own_replay(s, &result)) {
        struct tls *t = atomic_load(&s->tls);
        if (t && t->judges && t->kept.reading && !may_wait(t, fd, how == PLAIN_READ ? 0 : (int)how)) {
            return -1;
        }
        result = receive_watched(s, fd, buffer, length, how, from, from_length);
        result = length && !(how != PLAIN_READ && how & MSG_PEEK) ? tls_own_result(s, result) : result;
    }
    return result;
}

/* A call that is made in pieces, or repeated: SO_RCVTIMEO bounds it as a whole. */
struct whole {
    int64_t begun; /* coarse_now_ns */
    bool some;     /* it has octets already: any signal ends it then (recv(2)), or what would have it wait otherwise */
};

/* Whether it may go on. False, with errno: it is over, if it has to wait any longer. */
static bool goes_on(const struct whole *whole, int fd, int flags)
{
    struct timeval limit = { 0 };
    socklen_t length = sizeof limit;
    if (flags & MSG_DONTWAIT || REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length)) {
        return true;
    }
    bool bounded = limit.tv_sec || limit.tv_usec;
    if ((!bounded && !whole->some) || REAL(fcntl)(fd, F_GETFL, NULL) & O_NONBLOCK) {
        return true;
    }
    int64_t left = whole->begun + limit.tv_sec * 1000000000LL + limit.tv_usec * 1000LL - coarse_now_ns();
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    int ms = !bounded || left / 1000000 >= INT_MAX ? -1 : left > 0 ? (int)((left + 999999) / 1000000) : 0;
    int found = poll(&wait, 1, ms); /* the hook: the connection may be replaced meanwhile */
    errno = found ? errno : EAGAIN;
    return found > 0;
}

/*
 * MSG_WAITALL, in pieces: octets that the kernel keeps until there are more are not counted, and a relay that is to be left
 * at one of them would wait for the program to have read it.
 */
static ssize_t read_pieces(struct stream *s, int fd, void *buffer, size_t length, int64_t how, struct sockaddr *from,
                           socklen_t *from_length, struct whole *whole, bool all)
{
    int flags = how == PLAIN_READ ? 0 : (int)how;
    bool peek = flags & MSG_PEEK, repeated = false;
    size_t done = 0;
    int saved = errno;
    struct call call;
    for (;; repeated = true) {
        struct iovec part = { (char *)buffer + done, length - done };
        if ((repeated || whole->some) && !goes_on(whole, fd, flags)) {
            errno = done ? saved : errno;
            return done ? (ssize_t)done : -1;
        }
        size_t limit = read_begin_in_turn(&call, s, flags), allowed = part.iov_len < limit ? part.iov_len : limit;
        ssize_t result, raw = -1;
        ssize_t filled = fill(&call, &part, 1, flags);
        if (filled > 0) {
            read_leave(&call);
            return (ssize_t)done + filled;
        }
        if (call.error) {
            result = -1;
            errno = call.error;
        } else if (!is_looked_over(flags) || !unchunk_step(&call, flags, &allowed, &result)) {
            raw = result = receive_watched(s, fd, part.iov_base, allowed, how, from, from_length);
            if (call.unchunks && (result = without_chunks(&call, part.iov_base, raw, flags)) == 0 && raw > 0) {
                read_leave(&call); /* all that had come was framing */
                continue;
            }
            call.more = call.unchunks && raw == (ssize_t)allowed && allowed && (size_t)result < part.iov_len;
        }
        /* MSG_TRUNC drops octets: only their number is known. */
        bool again = flags & MSG_TRUNC && !peek ? read_end_unseen(&call, result) : read_end(&call, result, &part, 1);
        if (again) {
            continue;
        }
        if (result > 0) {
            done += (size_t)result;
            whole->some = all;
            if (all && done < length) {
                continue;
            }
        }
        if (done && result < 0 && ending_is_fatal(errno)) {
            atomic_store(&s->pending_error, errno); /* the octets first */
        }
        return done ? (ssize_t)done : result;
    }
}

/* A read into one buffer. `whole`: of which call of the program's it is a part, NULL: of none. */
static __attribute__((noinline)) ssize_t read_one(struct stream *s, int fd, void *buffer, size_t length, int64_t how,
                                                  struct sockaddr *from, socklen_t *from_length, struct whole *whole)
{
    int flags = how == PLAIN_READ ? 0 : (int)how;
    struct whole alone = { .begun = whole ? 0 : coarse_now_ns() };
    if (is_aside(s, flags)) {
        return receive(fd, buffer, length, how, from, from_length);
    }
    if (attempt_is_greeted(s) && !await_answer(s, fd, flags)) {
        return -1;
    }
    bool own = tls_own_traffic(s), all = flags & MSG_WAITALL && !(flags & MSG_PEEK) && !own;
    how = all ? how & ~MSG_WAITALL : how;
    return own ? read_own(s, fd, buffer, length, how, from, from_length)
               : read_pieces(s, fd, buffer, length, how, from, from_length, whole ? whole : &alone, all);
}

/* recvmsg() with MSG_WAITALL, and no room for control messages; a TCP socket gives no name. */
static ssize_t read_all(struct stream *s, int fd, struct msghdr *message, int flags)
{
    ssize_t done = 0;
    int saved = errno;
    struct whole whole = { .begun = coarse_now_ns() };
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];
        ssize_t n = part->iov_len ? read_one(s, fd, part->iov_base, part->iov_len, flags, NULL, OF_RECV, &whole) : 0;
        if (n < 0 && done && ending_is_fatal(errno)) {
            atomic_store(&s->pending_error, errno);
        }
        done = n < 0 && !done ? n : done + (n > 0 ? n : 0);
        if (n < (ssize_t)part->iov_len) {
            break;
        }
    }
    if (done >= 0) {
        errno = saved;
        message->msg_namelen = 0;
        message->msg_flags = 0;
    }
    return done;
}

static bool is_in_reach(const struct iovec *vector, size_t count)
{
    return count <= IOV_MAX && memory_is_readable(vector, count * sizeof *vector);
}

/* Has the call read up to `limit` octets, if there is a limit. */
static void clamp(struct msghdr *message, struct iovec *clamped, size_t limit)
{
    const struct iovec *vector = message->msg_iov;
    size_t n = 0, count = message->msg_iovlen;
    if (limit == SIZE_MAX || !is_in_reach(vector, count)) {
        return;
    }
    for (size_t i = 0, left = limit; n < CLAMPED_MAX && i < count && left; i++) {
        size_t length = vector[i].iov_len < left ? vector[i].iov_len : left;
        if (length) { /* a read into nothing but empty ones would look like the end */
            clamped[n++] = (struct iovec){ vector[i].iov_base, length };
            left -= length;
        }
    }
    message->msg_iov = clamped;
    message->msg_iovlen = n;
}

/* The vector is as the program has given it. */
static void restore(struct msghdr *message, struct iovec *vector, size_t count)
{
    message->msg_iov = vector;
    message->msg_iovlen = count;
}

/* A TLS library's own read into a vector. */
static ssize_t read_own_vector(struct stream *s, int fd, struct msghdr *message, int64_t how, bool peek)
{
    ssize_t result;
    if (!tls_own_replay(s, &result)) {
        result = receive_vector(s, fd, message, how);
        result = peek ? result : tls_own_result(s, result);
    }
    return result;
}

static ssize_t read_vector(struct stream *s, int fd, struct msghdr *message, int64_t how)
{
    int flags = how == PLAIN_READ ? 0 : (int)how;
    bool peek = flags & MSG_PEEK;
    struct iovec *vector = message->msg_iov, clamped[CLAMPED_MAX];
    size_t count = message->msg_iovlen, control_length = message->msg_controllen;
    if (is_aside(s, flags)) {
        return REAL(recvmsg)(fd, message, flags);
    }
    if (attempt_is_greeted(s) && !await_answer(s, fd, flags)) {
        return -1;
    }
    const struct whole whole = { .begun = coarse_now_ns() };
    if (flags & MSG_WAITALL && !peek && !control_length && is_in_reach(vector, count) && !tls_own_traffic(s)) {
        return read_all(s, fd, message, flags);
    }
    for (bool repeated = false;; repeated = true) {
        struct call call;
        if (repeated && !goes_on(&whole, fd, flags)) {
            return -1;
        }
        size_t limit = read_begin_in_turn(&call, s, flags), first = 0;
        if (call.unchunks && count && is_in_reach(vector, count)) {
            first = first_buffer(vector, count);
            limit = vector[first].iov_len < limit ? vector[first].iov_len : limit;
        }
        ssize_t result;
        bool stepped = call.unchunks && !call.error && is_looked_over(flags) && unchunk_step(&call, flags, &limit, &result);
        clamp(message, clamped, limit);
        if (call.own) {
            return read_own_vector(s, fd, message, how, peek);
        }
        ssize_t filled = fill(&call, vector, count, flags);
        if (filled > 0) {
            read_leave(&call);
            restore(message, vector, count);
            return filled;
        }
        if (call.error) {
            result = -1;
            errno = call.error;
        } else if (!stepped) {
            ssize_t raw = result = receive_vector(s, fd, message, how);
            if (call.unchunks && (result = without_chunks(&call, vector[first].iov_base, raw, flags)) == 0 && raw > 0) {
                read_leave(&call); /* all that had come was framing */
                restore(message, vector, count);
                message->msg_controllen = control_length;
                continue;
            }
            call.more = call.unchunks && raw > 0 && (size_t)raw == limit; /* even of one buffer, there may be others */
        }
        restore(message, vector, count);
        bool again = flags & MSG_TRUNC && !peek ? read_end_unseen(&call, result)
                                                : read_end(&call, result, vector, (int)count);
        if (!again) {
            return result;
        }
        message->msg_controllen = control_length; /* the kernel has set it to what it had to say */
    }
}

/* What a program reads from port 53 is an answer to a question of its own. */
static ssize_t note_dns(int fd, const void *octets, ssize_t count)
{
    if (count > 0 && stream_entry(fd) == STREAM_DNS) {
        names_dns(octets, (size_t)count);
    }
    return count;
}

EXPORT ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    struct stream *s = stream_of(fd);
    if (s) {
        ssize_t result;
        return read_swiftly(s, fd, buffer, length, flags, &result) ? result : read_one(s, fd, buffer, length, flags, NULL, OF_RECV, NULL);
    }
    return note_dns(fd, buffer, REAL(recv)(fd, buffer, length, flags));
}

EXPORT ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *from, socklen_t *from_length)
{
    struct stream *s = stream_of(fd);
    if (s) {
        return read_one(s, fd, buffer, length, flags, from, from_length, NULL);
    }
    return note_dns(fd, buffer, REAL(recvfrom)(fd, buffer, length, flags, from, from_length));
}

EXPORT ssize_t read(int fd, void *buffer, size_t length)
{
    struct stream *s = stream_of(fd);
    if (s) {
        ssize_t result;
        return read_swiftly(s, fd, buffer, length, PLAIN_READ, &result) ? result : read_one(s, fd, buffer, length, PLAIN_READ, NULL, OF_RECV, NULL);
    }
    if (atomic_load_explicit(&stream_open_count, memory_order_relaxed) && !agent_is_there()) {
        agent_before_other_read();
    }
    return note_dns(fd, buffer, REAL(read)(fd, buffer, length));
}

EXPORT ssize_t readv(int fd, const struct iovec *vector, int count)
{
    struct stream *s = stream_of(fd);
    if (!s || count <= 0) {
        return REAL(readv)(fd, vector, count);
    }
    struct msghdr message = { .msg_iov = (struct iovec *)vector, .msg_iovlen = (size_t)count };
    return read_vector(s, fd, &message, PLAIN_READ);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct stream *s = stream_of(fd);
    s = s && memory_is_readable(message, sizeof *message) ? s : NULL;
    if (!s) {
        ssize_t result = REAL(recvmsg)(fd, message, flags);
        if (result > 0 && stream_entry(fd) == STREAM_DNS && message->msg_iovlen) {
            size_t first = message->msg_iov[0].iov_len;
            note_dns(fd, message->msg_iov[0].iov_base, result < (ssize_t)first ? result : (ssize_t)first);
        }
        return result;
    }
    return read_vector(s, fd, message, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    struct stream *s = stream_of(fd);
    s = s && count && memory_is_readable(messages, sizeof *messages) ? s : NULL;
    if (!s || timeout) {
        if (s) {
            stream_leave(s, MS_WHY_RECVMMSG);
        }
        int result = REAL(recvmmsg)(fd, messages, count, flags, timeout);
        for (int i = 0; i < result && stream_entry(fd) == STREAM_DNS; i++) {
            note_dns(fd, messages[i].msg_hdr.msg_iov[0].iov_base, messages[i].msg_len);
        }
        return result;
    }
    unsigned done = 0;
    while (done < count) {
        if (!memory_is_readable(&messages[done], sizeof *messages)) {
            errno = done ? errno : EFAULT;
            return done ? (int)done : -1;
        }
        ssize_t result = read_vector(s, fd, &messages[done].msg_hdr,
                                     (flags & ~MSG_WAITFORONE) | (flags & MSG_WAITFORONE && done ? MSG_DONTWAIT : 0));
        if (result < 0) {
            if (done && ending_is_fatal(errno)) {
                atomic_store(&s->pending_error, errno); /* of the next call */
            }
            return done ? (int)done : -1;
        }
        messages[done++].msg_len = (unsigned)result;
    }
    return (int)done;
}

/* The checking variants abort the program where its buffer is too small, as they do without Midstream. */

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t size)
{
    return length > size ? REAL(__read_chk)(fd, buffer, length, size) : read(fd, buffer, length);
}

EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t size, int flags)
{
    return length > size ? REAL(__recv_chk)(fd, buffer, length, size, flags) : recv(fd, buffer, length, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t length, size_t size, int flags, struct sockaddr *from,
                              socklen_t *from_length)
{
    return length > size ? REAL(__recvfrom_chk)(fd, buffer, length, size, flags, from, from_length)
                         : recvfrom(fd, buffer, length, flags, from, from_length);
}
