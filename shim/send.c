/* send.c: every call that writes to a socket. Requests are read from what was accepted. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"
#include "names.h"
#include "stream.h"
#include "unchunk.h"

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

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    struct stream *s = stream_of(fd);
    if (!s) {
        ssize_t result = REAL(sendto)(fd, buffer, length, flags, to, to_length);
        if (to && result > 0) {
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

/* A descriptor passed to another process (SCM_RIGHTS) has a second owner from now on. */
static void note_passed(const struct msghdr *message)
{
    if (!message->msg_controllen || !atomic_load_explicit(&stream_open_count, memory_order_relaxed)) {
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
                stream_leave(s, "the program has passed it to another process");
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
    if (message->msg_controllen && atomic_load_explicit(&stream_open_count, memory_order_relaxed)
        && !REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) && domain == AF_UNIX) {
        unchunk_end_all();
    }
    errno = saved;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct stream *s = IS_POINTER(message) ? stream_of(fd) : NULL;
    if (!s) {
        if (IS_POINTER(message)) {
            before_passing(fd, message);
        }
        ssize_t result = REAL(sendmsg)(fd, message, flags);
        if (result >= 0) {
            note_passed(message);
        }
        if (result > 0 && message->msg_name) {
            names_note_port(fd, message->msg_name, message->msg_namelen);
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
    struct stream *s = IS_POINTER(messages) ? stream_of(fd) : NULL;
    if (!s) {
        if (IS_POINTER(messages) && count) {
            before_passing(fd, &messages[0].msg_hdr);
        }
        int result = REAL(sendmmsg)(fd, messages, count, flags);
        for (int i = 0; i < result; i++) {
            note_passed(&messages[i].msg_hdr);
        }
        if (result > 0 && messages[0].msg_hdr.msg_name) {
            names_note_port(fd, messages[0].msg_hdr.msg_name, messages[0].msg_hdr.msg_namelen);
        }
        return result;
    }
    struct call call;
    int result = 0;
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *message = &messages[i].msg_hdr;
        write_begin(&call, s);
        ssize_t sent = REAL(sendmsg)(fd, message, flags);
        write_end(&call, sent, message->msg_iov, (int)message->msg_iovlen);
        if (sent < 0) {
            return result ? result : -1;
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
