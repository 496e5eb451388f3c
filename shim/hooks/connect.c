/* connect.c: where a stream begins. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wait/attempt.h"
#include "stream/carried.h"
#include "process/calls.h"
#include "connect.h"
#include "wait/epoll.h"
#include "wait/fallback.h"
#include "process/fork.h"
#include "ftp/ftp.h"
#include "process/memory.h"
#include "process/own.h"
#include "network/quic.h"
#include "stream/names.h"
#include "stream/stream.h"
#include "process/trial.h"
#include "tls/tls.h"
#include "network/use.h"
#include "process/withdraw.h"

/* Whether Midstream may make calls of its own at all. */
static bool is_possible(void)
{
    return !withdraw_is_silent() && !trial_failed();
}

EXPORT int socket(int domain, int type, int protocol)
{
    int fd = REAL(socket)(domain, type, protocol);
    if ((unsigned)fd < STREAM_TABLE) {
        struct stream *stale = stream_entry(fd);
        bool tcp = (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM && is_possible();
        if ((stale || tcp) && fork_same_process()) {
            if (stream_of(fd)) {
                stream_closed(stale); /* its number was closed behind our back */
            }
            stream_mark(fd, tcp ? STREAM_FRESH : NULL);
        }
    }
    return fd;
}

static bool is_tcp(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    return stream_entry(fd) == STREAM_FRESH || stream_entry(fd) == STREAM_BOUND
        || (!REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_STREAM);
}

/* The program says by itself where the socket goes out. */
void connect_is_bound(int fd)
{
    struct stream *s = stream_of(fd);
    if (s) {
        s->bound = true;
    } else if (stream_entry(fd) == STREAM_FRESH && fork_same_process()) {
        stream_mark(fd, STREAM_BOUND);
    }
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = REAL(bind)(fd, address, length);
    if (!result && stream_entry(fd)) {
        connect_is_bound(fd);
    }
    return result;
}

/* A TCP socket of which everything since its making is known, and that the program has not bound. */
static bool is_unbound(int fd)
{
    struct stream *s = stream_of(fd);
    return s ? atomic_load(&s->stage) == STAGE_CANDIDATE && s->domain == AF_UNSPEC && !s->bound : stream_entry(fd) == STREAM_FRESH;
}

/* What a connection is made for, or begun: from here on the descriptor has a record. */
static void begun(int fd, const struct sockaddr *address, socklen_t length, bool in_progress, bool is_free)
{
    struct stream *s = stream_of(fd);
    uint32_t stage = s ? atomic_load(&s->stage) : STAGE_FREE;
    if (stage == STAGE_HTTP || stage == STAGE_OPEN || stage == STAGE_LEFT) {
        return; /* it has been connected for long: the last answer to a connect that did not wait */
    }
    if (names_note_port(fd, address, length)) {
        return; /* the program's own resolver */
    }
    if (!is_tcp(fd)) {
        return;
    }
    fork_watch();
    s = stream_new(fd, address->sa_family);
    if (s) {
        /* The kernel may have forgotten it by the time of the first request: the server has closed the connection, and reset it. */
        memcpy(&s->peer, address, length < sizeof s->peer ? length : sizeof s->peer);
    }
    if (s && ftp_connected(s)) {
        return; /* over another network its server would not take it */
    }
    if (s && in_progress && is_free) {
        attempt_begin(s);
    }
}

/* A TCP socket can be connected to an address of these. */
static bool is_internet(const struct sockaddr *address)
{
    return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

/*
 * Under a supervisor that ends TLS (carried.h), one that may be for TLS which nothing here could follow. Plain HTTP comes to no harm there
 * either, but for what this library does better.
 */
static bool is_for_supervisor(int fd, const struct sockaddr *address, socklen_t length)
{
    bool has_port = is_internet(address) && length >= sizeof(struct sockaddr_in);
    return has_port && carried_is_possible() && ((const struct sockaddr_in *)address)->sin_port != htons(80) && is_unbound(fd)
        && !tls_is_there();
}

/* The supervisor is asked, and the descriptor is none of Midstream's in this process. */
static int connect_carried(int fd, const struct sockaddr *address, socklen_t length)
{
    char room[CARRIED_LENGTH] = { 0 };
    struct stream *s = stream_of(fd);
    memcpy(room, address, length < sizeof room ? length : sizeof room);
    if (fork_same_process()) {
        if (s) {
            stream_closed(s);
        }
        stream_mark(fd, NULL);
    }
    return REAL(connect)(fd, (struct sockaddr *)room, sizeof room);
}

/* A TCP socket that has not been connected, or a record of one that is in an epoll set already. */
static bool is_unconnected(int fd)
{
    struct stream *s = stream_of(fd);
    return s ? atomic_load(&s->stage) == STAGE_CANDIDATE && s->domain == AF_UNSPEC
             : stream_entry(fd) == STREAM_FRESH || stream_entry(fd) == STREAM_BOUND;
}

/*
 * A socket that the program has bound, to where its control connection was, leads nowhere else: one that is bound to the interface takes its
 * place. False where it is in an epoll set that is not known.
 */
static bool rebind(int fd, uint32_t device, const struct sockaddr *to, socklen_t length)
{
    struct stream *s = stream_of(fd);
    long flags = REAL(syscall)(SYS_fcntl, fd, F_GETFD);
    int other = flags < 0 || (s && epoll_know(s)) ? -1 : fallback_socket(fd, device, to, length);
    if (other < 0) {
        return false;
    }
    if (s) {
        epoll_part(s, fd);
    }
    bool done = REAL(syscall)(SYS_dup3, other, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0;
    own_remove(other);
    REAL(syscall)(SYS_close, other);
    if (s) {
        epoll_join(s, fd);
    }
    return done;
}

/* A data connection of FTP's leads to where the core carries the dialogue on, and its program believes that it is the server that it knows. */
static bool connect_beside(int fd, const struct sockaddr *address, socklen_t length, int *result)
{
    struct sockaddr_in6 to;
    const struct stream *control = is_unconnected(fd) ? ftp_carried(address, length, &to) : NULL;
    if (!control) {
        return false;
    }
    int device = (int)control->dialogue.device;
    socklen_t to_length = to.sin6_family == AF_INET6 ? sizeof to : sizeof(struct sockaddr_in);
    if (is_unbound(fd)) {
        REAL(setsockopt)(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device);
    } else if (!rebind(fd, (uint32_t)device, (struct sockaddr *)&to, to_length)) {
        errno = ECONNREFUSED; /* the port is not the other server's */
        *result = -1;
        return true;
    }
    *result = REAL(connect)(fd, (struct sockaddr *)&to, to_length);
    int saved = errno;
    if (!*result || saved == EINPROGRESS || saved == EINTR) {
        begun(fd, address, length, false, false);
    }
    errno = saved;
    return true;
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if ((unsigned)fd >= STREAM_TABLE || length < sizeof address->sa_family || length > sizeof(struct sockaddr_storage)
        || !is_possible() || !memory_is_readable(address, length)) {
        return REAL(connect)(fd, address, length);
    }
    if (quic_refuses_connect(fd, address, length)) {
        return -1;
    }
    if (is_for_supervisor(fd, address, length)) {
        return connect_carried(fd, address, length);
    }
    int result;
    if (atomic_load_explicit(&dialogue_controls, memory_order_relaxed) && is_internet(address) && fork_same_process()
        && connect_beside(fd, address, length, &result)) {
        return result;
    }
    bool is_free = is_unbound(fd) && fallback_is_possible(address, length);
    struct stream *s = stream_of(fd);
    uint32_t own = 0;
    if (is_free) {
        use_bind(fd, address, length);
        own = fallback_before(fd, address, length);
    } else if (s && attempt_is_being_made(s)) {
        attempt_settle(s); /* asks how it has ended */
    }
    result = REAL(connect)(fd, address, length);
    if (result && is_free) {
        result = fallback_after(fd, address, length, own);
    }
    int saved = errno;
    if (address->sa_family == AF_UNSPEC) {
        s = stream_of(fd);
        if (!result && s && fork_same_process()) {
            bool bound = s->bound;
            stream_closed(s);
            stream_mark(fd, bound ? STREAM_BOUND : STREAM_FRESH);
        }
    } else if (is_internet(address) && (!result || saved == EINPROGRESS || saved == EINTR) && fork_same_process()) {
        begun(fd, address, length, result && saved == EINPROGRESS, is_free);
    }
    errno = saved;
    return result;
}

bool connect_by_writing(int fd, int flags, const struct sockaddr *to, socklen_t length)
{
    if (!(flags & MSG_FASTOPEN) || !is_unconnected(fd) || length < sizeof to->sa_family || length > sizeof(struct sockaddr_storage)
        || !memory_is_readable(to, length) || !is_internet(to)) {
        return false;
    }
    if (is_unbound(fd) && fallback_is_possible(to, length)) {
        use_bind(fd, to, length);
    }
    return true;
}

void connect_by_writing_begun(int fd, const struct sockaddr *to, socklen_t length, ssize_t result)
{
    int saved = errno;
    if ((result >= 0 || saved == EINPROGRESS || saved == EINTR) && fork_same_process()) {
        begun(fd, to, length, result < 0 && saved == EINPROGRESS, is_unbound(fd) && fallback_is_possible(to, length));
    }
    errno = saved;
}
