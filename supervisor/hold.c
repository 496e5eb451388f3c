/* hold.c: see hold.h. All is done by number, so that a preloaded library does not take it for connections of this program's own. */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "address.h"

/* Of each family: the port that drops all, and one that nobody listens on. */
static union address silent[2], refusing[2];
static int kept[2][3];

static int make(int family, int flags)
{
    int fd = (int)syscall(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP), yes = 1;
    if (fd >= 0) {
        syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
        syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    }
    return fd;
}

static union address loopback(bool six, uint16_t port)
{
    union address a;
    memset(&a, 0, sizeof a);
    if (six) {
        a.six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    } else {
        a.four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    }
    return a;
}

/* A socket with a port of its own. */
static int take_port(bool six, union address *a)
{
    int fd = make(six ? AF_INET6 : AF_INET, 0);
    socklen_t length = sizeof *a;
    *a = loopback(six, 0);
    if (fd >= 0 && !syscall(SYS_bind, fd, a, address_length(a)) && !syscall(SYS_getsockname, fd, a, &length)) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    a->any.sa_family = AF_UNSPEC;
    return -1;
}

/* A port drops what comes by a filter of its socket; where this user may set none, because its queue of connections is full for good. */
static bool make_silent(bool six, int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = { 1, &nothing };
    if (!syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)) {
        return !syscall(SYS_listen, fd, 1);
    }
    kept[six][2] = make(six ? AF_INET6 : AF_INET, 0);
    return !syscall(SYS_listen, fd, 0) && kept[six][2] >= 0 && !syscall(SYS_connect, kept[six][2], &silent[six], address_length(&silent[six]));
}

static bool open_one(bool six)
{
    int fd = take_port(six, &silent[six]);
    if (fd < 0 || !make_silent(six, fd)) {
        silent[six].any.sa_family = AF_UNSPEC;
        return false;
    }
    kept[six][0] = fd;
    kept[six][1] = take_port(six, &refusing[six]);
    return kept[six][1] >= 0;
}

bool hold_open(void)
{
    bool four = open_one(false), six = open_one(true);
    return four || six;
}

/* The address as a socket of that way writes it. */
static union address written(const union address *a, enum hold_way way)
{
    if (way != HOLD_MAPPED) {
        return *a;
    }
    union address mapped = { .six = { .sin6_family = AF_INET6, .sin6_port = a->four.sin_port } };
    mapped.six.sin6_addr.s6_addr[10] = mapped.six.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.six.sin6_addr.s6_addr[12], &a->four.sin_addr, 4);
    return mapped;
}

/*
 * A connect() that does not wait. O_NONBLOCK belongs to the program's description: it is not changed, where the kernel can be
 * told otherwise for one call.
 */
static bool connect_at_once(int fd, const union address *a)
{
    int flags = fcntl(fd, F_GETFL), error;
    if (flags & O_NONBLOCK) {
        return !syscall(SYS_connect, fd, a, address_length(a)) || errno == EINPROGRESS;
    }
    if (!syscall(SYS_sendto, fd, NULL, 0, MSG_FASTOPEN | MSG_DONTWAIT | MSG_NOSIGNAL, a, address_length(a)) || errno == EINPROGRESS) {
        return true;
    }
    if (errno != EOPNOTSUPP && errno != EINVAL) {
        return false;
    }
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    error = syscall(SYS_connect, fd, a, address_length(a)) ? errno : 0;
    fcntl(fd, F_SETFL, flags);
    errno = error;
    return !error || error == EINPROGRESS;
}

uint16_t hold_begin(int fd, enum hold_way way)
{
    union address own, to = written(&silent[way == HOLD_SIX], way);
    socklen_t length = sizeof own;
    if (to.any.sa_family == AF_UNSPEC || (way == HOLD_MAPPED && silent[0].any.sa_family == AF_UNSPEC)) {
        errno = EADDRNOTAVAIL;
        return 0;
    }
    return connect_at_once(fd, &to) && !syscall(SYS_getsockname, fd, &own, &length) ? address_port(&own) : 0;
}

bool hold_is_held(enum hold_way way, uint16_t port)
{
    static int netlink = -1;
    bool six = way == HOLD_SIX;
    union address to = silent[six], from = loopback(six, port);
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = { .header = { .nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
                   .request = { .sdiag_family = (uint8_t)(way == HOLD_FOUR ? AF_INET : AF_INET6), .sdiag_protocol = IPPROTO_TCP,
                                .id = { .idiag_sport = htons(port), .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } } };
    union {
        struct nlmsghdr header;
        char octets[1024];
    } answer;
    if (way == HOLD_MAPPED) {
        from = written(&from, way);
        to = written(&to, way);
    }
    question.request.id.idiag_dport = to.four.sin_port; /* in the same place for both */
    memcpy(question.request.id.idiag_src, way == HOLD_FOUR ? (void *)&from.four.sin_addr : (void *)&from.six.sin6_addr, way == HOLD_FOUR ? 4 : 16);
    memcpy(question.request.id.idiag_dst, way == HOLD_FOUR ? (void *)&to.four.sin_addr : (void *)&to.six.sin6_addr, way == HOLD_FOUR ? 4 : 16);
    if (netlink < 0) {
        netlink = (int)syscall(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    }
    if (send(netlink, &question, sizeof question, 0) != sizeof question) {
        return true;
    }
    ssize_t n = recv(netlink, &answer, sizeof answer, 0);
    struct nlmsgerr *error = NLMSG_DATA(&answer.header);
    return n < (ssize_t)NLMSG_LENGTH(sizeof *error) || answer.header.nlmsg_type != NLMSG_ERROR || error->error != -ENOENT;
}

int hold_meet(enum hold_way way, uint16_t port)
{
    bool six = way == HOLD_SIX;
    union address to = loopback(six, port);
    int fd = make(to.any.sa_family, SOCK_NONBLOCK);
    if (fd >= 0 && !syscall(SYS_bind, fd, &silent[six], address_length(&silent[six]))
        && (!syscall(SYS_connect, fd, &to, address_length(&to)) || errno == EINPROGRESS)) {
        return fd;
    }
    if (fd >= 0) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return -1;
}

void hold_end(int fd)
{
    union address none = { .any.sa_family = AF_UNSPEC };
    int error;
    socklen_t length = sizeof error;
    syscall(SYS_connect, fd, &none, sizeof none);
    syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &length);
}

void hold_refuse(int fd, enum hold_way way)
{
    union address none = { .any.sa_family = AF_UNSPEC }, to = written(&refusing[way == HOLD_SIX], way);
    syscall(SYS_connect, fd, &none, sizeof none);
    connect_at_once(fd, &to); /* before anybody has read that it has been reset, as a rule */
}
