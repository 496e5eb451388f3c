/* socket.c: see socket.h. */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "process/calls.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define BUF_LOCK_SEND 1
#define BUF_LOCK_RECEIVE 2

uint32_t socket_unread(int fd)
{
    int unread = 0;
    return REAL(ioctl)(fd, FIONREAD, &unread) || unread < 0 ? 0 : (uint32_t)unread;
}

static bool tcp_info(int fd, struct tcp_info *info)
{
    socklen_t length = sizeof *info;
    memset(info, 0, sizeof *info);
    return !REAL(getsockopt)(fd, IPPROTO_TCP, TCP_INFO, info, &length)
        && length > offsetof(struct tcp_info, tcpi_bytes_received);
}

bool socket_was_answered(int fd)
{
    struct tcp_info info;
    return !tcp_info(fd, &info) || info.tcpi_segs_in > 0;
}

bool socket_was_heard(int fd)
{
    struct tcp_info info;
    return !tcp_info(fd, &info) || !info.tcpi_unacked;
}

int64_t socket_rtt_ns(int fd)
{
    struct tcp_info info;
    return tcp_info(fd, &info) ? info.tcpi_rtt * 1000LL : 0;
}

/*
 * struct mptcp_info (linux/mptcp.h) as of Linux 6.5, which tells how many octets have arrived on all subflows together;
 * what TCP_INFO tells of a Multipath TCP socket is that of its first subflow.
 */
#define SOL_MULTIPATH 284
#define MULTIPATH_INFO 1
struct multipath_info {
    char before[64];
    uint64_t bytes_received;
};

/* How many octets have arrived, or false where the kernel does not tell. */
static bool arrived(int fd, bool multipath, uint64_t *octets)
{
    struct multipath_info all;
    struct tcp_info info;
    socklen_t length = sizeof all;
    if (multipath) {
        if (REAL(getsockopt)(fd, SOL_MULTIPATH, MULTIPATH_INFO, &all, &length) || length < sizeof all) {
            return false;
        }
        *octets = all.bytes_received;
        return true;
    }
    if (!tcp_info(fd, &info)) {
        return false;
    }
    *octets = info.tcpi_bytes_received;
    return true;
}

/* Whether the other side has said that it will send no more. */
static bool has_ended(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLRDHUP };
    return REAL(poll)(&look, 1, 0) > 0 && (look.revents & POLLRDHUP);
}

int64_t socket_taken(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    bool multipath = !REAL(getsockopt)(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) && protocol == IPPROTO_MPTCP;
    /* Octets that arrive between the two calls may only make the difference too small: look again. */
    for (int i = 0; i < 8; i++) {
        uint64_t received, again;
        bool ended = multipath && has_ended(fd);
        if (!arrived(fd, multipath, &received)) {
            return -1;
        }
        int64_t unread = socket_unread(fd);
        if (arrived(fd, multipath, &again) && again == received && (!multipath || ended == has_ended(fd))) {
            /* TCP's FIN has arrived as an octet does, and is none that is unread. Of Multipath TCP's DATA_FIN the kernel has the reverse. */
            return ended ? (int64_t)received + 1 - (unread ? unread - 1 : 0) : (int64_t)received - unread;
        }
    }
    return -1;
}

void socket_make_room(int fd, int octets)
{
    int saved = errno, least;
    socklen_t length = sizeof least;
    /* A low-water mark that the buffer could not hold would never be reached, so the kernel enlarges it (tcp_set_rcvlowat). */
    if (!REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVLOWAT, &least, &length) && least < octets) {
        REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVLOWAT, &octets, sizeof octets);
        REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
    }
    errno = saved;
}

uint64_t socket_inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

static void copy_option(int from, int to, int level, int name)
{
    char was[128], is[128];
    socklen_t length = sizeof was, other = sizeof is;
    if (REAL(getsockopt)(from, level, name, was, &length)
        || (!REAL(getsockopt)(to, level, name, is, &other) && other == length && !memcmp(was, is, length))) {
        return;
    }
    REAL(setsockopt)(to, level, name, was, length);
}

/* A buffer size counts only where the program fixed it; the kernel reports twice what was asked. */
static void copy_buffer(int from, int to, int name, int lock)
{
    int locks = 0, size = 0;
    socklen_t length = sizeof locks;
    if (REAL(getsockopt)(from, SOL_SOCKET, SO_BUF_LOCK, &locks, &length) || !(locks & lock)) {
        return;
    }
    length = sizeof size;
    if (!REAL(getsockopt)(from, SOL_SOCKET, name, &size, &length)) {
        size /= 2;
        REAL(setsockopt)(to, SOL_SOCKET, name, &size, sizeof size);
    }
}

void socket_copy_attributes(int from, int to, bool buffers)
{
    static const struct { int level, name; } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE }, { SOL_SOCKET, SO_OOBINLINE }, { SOL_SOCKET, SO_LINGER },
        { SOL_SOCKET, SO_RCVTIMEO }, { SOL_SOCKET, SO_SNDTIMEO }, { SOL_SOCKET, SO_RCVLOWAT },
        { SOL_SOCKET, SO_PRIORITY }, { SOL_SOCKET, SO_MARK }, { SOL_SOCKET, SO_TIMESTAMP }, { SOL_SOCKET, SO_BUSY_POLL },
        { IPPROTO_TCP, TCP_NODELAY }, { IPPROTO_TCP, TCP_CORK }, { IPPROTO_TCP, TCP_QUICKACK },
        { IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_TCP, TCP_KEEPINTVL }, { IPPROTO_TCP, TCP_KEEPCNT },
        { IPPROTO_TCP, TCP_USER_TIMEOUT }, { IPPROTO_TCP, TCP_NOTSENT_LOWAT }, { IPPROTO_TCP, TCP_LINGER2 },
        { IPPROTO_TCP, TCP_CONGESTION }, { IPPROTO_TCP, TCP_SYNCNT }, { IPPROTO_TCP, TCP_INQ }, { IPPROTO_IP, IP_TOS }, { IPPROTO_IP, IP_TTL },
        { IPPROTO_IP, IP_MTU_DISCOVER }, { IPPROTO_IPV6, IPV6_TCLASS }, { IPPROTO_IPV6, IPV6_UNICAST_HOPS },
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        copy_option(from, to, options[i].level, options[i].name);
    }
    if (buffers) {
        copy_buffer(from, to, SO_RCVBUF, BUF_LOCK_RECEIVE);
        copy_buffer(from, to, SO_SNDBUF, BUF_LOCK_SEND);
    }
    long flags = REAL(syscall)(SYS_fcntl, from, F_GETFL);
    if (flags >= 0) {
        REAL(syscall)(SYS_fcntl, to, F_SETFL, flags);
    }
    struct f_owner_ex owner; /* of SIGIO, and of SIGURG without O_ASYNC too */
    if (REAL(syscall)(SYS_fcntl, from, F_GETOWN_EX, &owner) >= 0 && owner.pid) {
        REAL(syscall)(SYS_fcntl, to, F_SETOWN_EX, &owner);
    }
    if (flags >= 0 && flags & O_ASYNC) {
        REAL(syscall)(SYS_fcntl, to, F_SETSIG, REAL(syscall)(SYS_fcntl, from, F_GETSIG));
    }
}

void socket_reset(int fd)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    REAL(shutdown)(fd, SHUT_RD); /* wakes poll and select, which the disconnection does not */
    REAL(connect)(fd, &none, sizeof none);
    REAL(setsockopt)(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    REAL(syscall)(SYS_close, fd);
}

void socket_info(int fd, struct ms_info *info)
{
    struct tcp_info tcp;
    info->inode = socket_inode(fd);
    info->unread = socket_unread(fd);
    if (tcp_info(fd, &tcp)) {
        info->rtt_us = tcp.tcpi_rtt;
        info->rttvar_us = tcp.tcpi_rttvar;
        info->retransmits = tcp.tcpi_retransmits;
        info->out_of_order = tcp.tcpi_rcv_ooopack;
        info->receive_rtt_us = tcp.tcpi_rcv_rtt;
    }
}
