/* sockopt.c: questions about a socket, answered as if it had never been replaced. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "wait/attempt.h"
#include "process/calls.h"
#include "connect.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "stream/over.h"
#include "process/memory.h"
#include "stream/stream.h"
#include "wait/readiness.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef IP_UNICAST_IF
#define IP_UNICAST_IF 50
#endif
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 76
#endif

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct stream *s = stream_of(fd);
    if (s && attempt_is_being_made(s) && level == SOL_SOCKET && name == SO_ERROR) {
        attempt_settle(s);
    }
    s = gate_enter_fd(fd);
    int result = REAL(getsockopt)(fd, level, name, value, length);
    if (!result && s && s->moved && level == SOL_SOCKET && name == SO_DOMAIN && *length == sizeof(int)) {
        memcpy(value, &s->domain, sizeof s->domain);
    }
    gate_leave_if(s);
    return result;
}

/* socket(7), ip(7) */
static bool binds(int level, int name)
{
    return (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX))
        || (level == IPPROTO_IP && name == IP_UNICAST_IF) || (level == IPPROTO_IPV6 && name == IPV6_UNICAST_IF);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct stream *s = gate_enter_fd(fd);
    if ((s || tls_is_own_work()) && level == IPPROTO_TCP && name == TCP_ULP) {
        /* As a kernel without the module: records that the kernel makes are seen by nobody, and cannot be moved. */
        gate_leave_if(s);
        errno = ENOENT;
        return -1;
    }
    int result = REAL(setsockopt)(fd, level, name, value, length);
    if (!result && stream_entry(fd) && binds(level, name)) {
        connect_is_bound(fd);
    }
    if (s && level == SOL_SOCKET && name == SO_RCVLOWAT) {
        atomic_store(&s->blocking, BLOCKING_UNKNOWN);
        atomic_store(&s->waiting, BLOCKING_UNKNOWN);
    }
    gate_leave_if(s);
    return result;
}

/* A wait has told of octets, and there are none: of another connection, which had the descriptor then. None at all would pass for its end. */
static int unread_later(int fd, struct stream *s, int *unread)
{
    gate_leave(s);
    readiness_await(fd);
    s = gate_enter_fd(fd);
    int result = REAL(ioctl)(fd, FIONREAD, unread);
    if (s && !result) {
        *unread = readiness_unread(s, *unread);
        atomic_store_explicit(&s->waits.promised, 0, memory_order_relaxed); /* it is not waited for twice */
    }
    gate_leave_if(s);
    return result;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    struct stream *s = gate_enter_fd(fd);
    int result = REAL(ioctl)(fd, request, argument);
    if (s && request == FIONREAD && !result) {
        *(int *)argument = readiness_unread(s, *(int *)argument);
        if (!*(int *)argument && readiness_is_denied(s)) {
            return unread_later(fd, s, argument);
        }
    }
    if (s && request == FIONBIO) {
        atomic_store(&s->blocking, BLOCKING_UNKNOWN);
    }
    gate_leave_if(s);
    return result;
}

static int kept_name(int fd, const struct sockaddr_in6 *name, struct sockaddr *address, socklen_t *length)
{
    socklen_t room = memory_is_readable(length, sizeof *length) ? *length : 0;
    socklen_t size = name->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (REAL(getsockname)(fd, address, length)) { /* which the kernel always knows: it says what is wrong with the arguments */
        return -1;
    }
    memcpy(address, name, room < size ? room : size);
    *length = size;
    return 0;
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    struct stream *s = gate_enter_fd(fd);
    int result = s && s->moved ? kept_name(fd, &s->peer, address, length)
                                                    : REAL(getpeername)(fd, address, length);
    gate_leave_if(s);
    return result;
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    struct stream *s = gate_enter_fd(fd);
    int result = s && s->moved ? kept_name(fd, &s->local, address, length)
                                                    : REAL(getsockname)(fd, address, length);
    gate_leave_if(s);
    return result;
}
