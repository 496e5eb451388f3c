/* send.c: every call that writes to a socket. Requests are read from what was accepted. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "process/above.h"
#include "process/calls.h"
#include "connect.h"
#include "network/quic.h"
#include "process/memory.h"
#include "wait/attempt.h"
#include "stream/names.h"
#include "call/call.h"
#include "call/unchunk.h"

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
    struct stream *s = stream_of(fd);
    if (!s) {
        return REAL(send)(fd, buffer, length, flags);
    }
    struct call call;
    struct iovec part = { (void *)buffer, length };
    write_begin(&call, s);
    ssize_t result = REAL(send)(fd, buffer, length, flags);
    write_end(&call, result, &part, 1);
    return result;
}

/* A write has opened a connection. What it has sent is looked at like what others send. */
static void note_opening(int fd, const struct msghdr *message, ssize_t result)
{
    struct call call;
    connect_by_writing_begun(fd, message->msg_name, message->msg_namelen, result);
    struct stream *s = result > 0 ? stream_of(fd) : NULL;
    if (s) {
        write_begin(&call, s);
        write_end(&call, result, message->msg_iov, (int)message->msg_iovlen);
    }
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    if (connect_by_writing(fd, flags, to, to_length)) {
        struct iovec part = { (void *)buffer, length };
        struct msghdr message = { .msg_name = (void *)to, .msg_namelen = to_length, .msg_iov = &part, .msg_iovlen = 1 };
        ssize_t result = REAL(sendto)(fd, buffer, length, flags, to, to_length);
        note_opening(fd, &message, result);
        return result;
    }
    struct stream *s = stream_of(fd);
    if (!s) {
        if (to && quic_refuses(fd, to, to_length)) {
            return -1;
        }
        ssize_t result = REAL(sendto)(fd, buffer, length, flags, to, to_length);
        if (to && to_length >= sizeof to->sa_family && result > 0) {
            names_note_port(fd, to, to_length);
        }
        return result;
    }
    struct call call;
    struct iovec part = { (void *)buffer, length };
    write_begin(&call, s);
    ssize_t result = REAL(sendto)(fd, buffer, length, flags, to, to_length);
    write_end(&call, result, &part, 1);
    return result;
}

/* There are descriptors behind which something else may be put. */
static bool may_matter(void)
{
    return atomic_load_explicit(&stream_open_count, memory_order_relaxed) || attempts_are_open();
}

/* A descriptor passed to another process (SCM_RIGHTS) has a second owner from now on. */
static void note_passed(const struct msghdr *message)
{
    if (!message->msg_controllen || !may_matter()) {
        return;
    }
    int saved = errno;
    struct msghdr header = *message;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            struct stream *s = stream_of(fd);
            if (s) {
                stream_leave(s, MS_WHY_PASSED);
            }
        }
    }
    errno = saved;
}

/* It may be about to be passed. What is to be passed is not looked at before the kernel has done so. */
static void before_passing(int fd, const struct msghdr *message)
{
    int saved = errno, domain = 0;
    socklen_t length = sizeof domain;
    if (may_matter() && message->msg_controllen
        && !REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) && domain == AF_UNIX) {
        unchunk_end_all();
        attempts_withdraw();
    }
    errno = saved;
}

/* The message will be looked into before the kernel has, and cannot be. */
static bool is_out_of_reach(int fd, const void *message, size_t length)
{
    return (stream_entry(fd) || may_matter()) && !memory_is_readable(message, length);
}

/* QUIC, where it is not wanted. */
static bool is_refused(int fd, const struct msghdr *message)
{
    return quic_may_be_refused() && memory_is_readable(message, sizeof *message) && quic_refuses(fd, message->msg_name, message->msg_namelen);
}

/* The kernel has accepted a message on a descriptor that is not followed. */
static void note_passing(int fd, const struct msghdr *message, bool octets)
{
    note_passed(message);
    if (octets && message->msg_name && message->msg_namelen >= sizeof(sa_family_t)) {
        names_note_port(fd, message->msg_name, message->msg_namelen);
    }
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (is_out_of_reach(fd, message, sizeof *message)) {
        return REAL(sendmsg)(fd, message, flags);
    }
    if (stream_entry(fd) && connect_by_writing(fd, flags, message->msg_name, message->msg_namelen)) {
        ssize_t result = REAL(sendmsg)(fd, message, flags);
        note_opening(fd, message, result);
        return result;
    }
    struct stream *s = stream_of(fd);
    if (!s) {
        if (is_refused(fd, message)) {
            return -1;
        }
        before_passing(fd, message);
        ssize_t result = REAL(sendmsg)(fd, message, flags);
        if (result >= 0) {
            note_passing(fd, message, result > 0);
        }
        return result;
    }
    struct call call;
    write_begin(&call, s);
    ssize_t result = REAL(sendmsg)(fd, message, flags);
    write_end(&call, result, result > 0 ? message->msg_iov : NULL, result > 0 ? (int)message->msg_iovlen : 0);
    return result;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    bool tracked = stream_of(fd) || (stream_entry(fd) && flags & MSG_FASTOPEN);
    if (!tracked || !count || !memory_is_readable(messages, sizeof *messages)) {
        if (count && !is_out_of_reach(fd, messages, sizeof *messages)) {
            before_passing(fd, &messages[0].msg_hdr);
        }
        unsigned accepted = quic_accepts(fd, messages, count);
        if (accepted < count && !accepted) {
            errno = ECONNREFUSED;
            return -1;
        }
        int result = REAL(sendmmsg)(fd, messages, accepted, flags);
        for (int i = 0; i < result; i++) {
            note_passing(fd, &messages[i].msg_hdr, i == 0);
        }
        return result;
    }
    int result = 0, saved = errno;
    for (unsigned i = 0; i < count; i++) {
        errno = EFAULT;
        ssize_t sent = memory_is_readable(&messages[i], sizeof messages[i]) ? sendmsg(fd, &messages[i].msg_hdr, flags) : -1;
        if (sent < 0 && !result) {
            return -1;
        }
        errno = saved;
        if (sent < 0) {
            break;
        }
        messages[i].msg_len = (unsigned)sent;
        result++;
    }
    return result;
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length)
{
    struct stream *s = stream_of(fd);
    if (!s) {
        return REAL(write)(fd, buffer, length);
    }
    struct call call;
    struct iovec part = { (void *)buffer, length };
    write_begin(&call, s);
    ssize_t result = REAL(write)(fd, buffer, length);
    write_end(&call, result, &part, 1);
    return result;
}

EXPORT ssize_t writev(int fd, const struct iovec *vector, int count)
{
    struct stream *s = stream_of(fd);
    if (!s) {
        return REAL(writev)(fd, vector, count);
    }
    struct call call;
    write_begin(&call, s);
    ssize_t result = REAL(writev)(fd, vector, count);
    write_end(&call, result, vector, count);
    return result;
}
