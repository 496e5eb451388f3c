/* fallback.c: see fallback.h. */
#include "fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "epoll.h"
#include "process/fork.h"
#include "process/own.h"
#include "network/bound.h"
#include "network/route.h"
#include "process/lines.h"
#include "process/settings.h"
#include "network/socket.h"
#include "stream/stream.h"
#include "network/use.h"

struct ranked {
    struct route route;
    unsigned rank; /* in the manager's order */
};

/* Other interfaces with a route to the address: in the manager's order, then in the kernel's own. */
static int others(int netlink, const struct sockaddr *to, uint32_t but, bool lost, struct ranked *routes)
{
    struct lines l;
    struct use_order order;
    int count = 0;
    if (!lines_open(&l, "/proc/thread-self/net/dev")) {
        return 0;
    }
    use_read_order(&order);
    while (lines_next(&l)) {
        struct ifreq request = { 0 };
        struct ranked candidate;
        char *name = l.line + strspn(l.line, " "), *end = strchr(name, ':');
        if (!end || (size_t)(end - name) >= IFNAMSIZ) {
            continue;
        }
        *end = 0;
        memcpy(request.ifr_name, name, (size_t)(end - name));
        if (!strcmp(name, "lo") || REAL(ioctl)(netlink, SIOCGIFINDEX, &request) || (uint32_t)request.ifr_ifindex == but
            || !route_find(netlink, to, (uint32_t)request.ifr_ifindex, &candidate.route) || candidate.route.index != (uint32_t)request.ifr_ifindex
            || !route_has_carrier(netlink, candidate.route.index) || route_is_barred(netlink, to, but, candidate.route.index)) {
            continue;
        }
        bool costs = false;
        candidate.rank = use_rank(&order, name, candidate.route.index, &costs);
        if ((candidate.rank == USE_UNRANKED && settings_forbid(name)) || (!lost && (costs || settings_cost(name)))) {
            continue;
        }
        int at = count < FALLBACK_ROUTES ? count++ : FALLBACK_ROUTES;
        for (; at > 0 && (routes[at - 1].rank > candidate.rank || (routes[at - 1].rank == candidate.rank && routes[at - 1].route.metric > candidate.route.metric)); at--) {
            if (at < FALLBACK_ROUTES) {
                routes[at] = routes[at - 1];
            }
        }
        if (at < FALLBACK_ROUTES) {
            routes[at] = candidate;
        }
    }
    lines_close(&l);
    return count;
}

bool fallback_is_possible(const struct sockaddr *address, socklen_t length)
{
    return ((length >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET)
            || (length >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6))
        && !use_is_local(address) && !use_is_lookup(address);
}

/* A host on the link itself is looked for nowhere else: there, somebody else may have its address. */
static bool is_stuck(int netlink, const struct sockaddr *address, struct route *route)
{
    return route_find(netlink, address, 0, route) && route->index && route->through && !route_has_carrier(netlink, route->index);
}

uint32_t fallback_before(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;
    long flags = REAL(syscall)(SYS_fcntl, fd, F_GETFL);
    int netlink = flags < 0 || flags & O_NONBLOCK ? -1 : route_open();
    struct route route = { 0 };
    struct ranked routes[FALLBACK_ROUTES];
    if (netlink >= 0 && is_stuck(netlink, address, &route) && !bound_to(fd) && others(netlink, address, route.index, true, routes) > 0) {
        bound_bind(fd, routes[0].route.index, address, length);
    }
    route_close(netlink);
    errno = saved;
    return route.index;
}

bool fallback_is_cut_off(int fd, const struct sockaddr *address, uint32_t *own)
{
    int netlink = route_open();
    struct route route = { .index = bound_to(fd) };
    bool cut = netlink >= 0 && (route.index ? !route_has_carrier(netlink, route.index) : is_stuck(netlink, address, &route));
    route_close(netlink);
    *own = route.index;
    return cut;
}

uint32_t fallback_interface_of(int fd)
{
    struct sockaddr_in6 local = { .sin6_family = AF_UNSPEC };
    socklen_t length = sizeof local;
    struct route route = { .index = bound_to(fd) };
    int netlink = route.index || REAL(getsockname)(fd, (struct sockaddr *)&local, &length)
            || (local.sin6_family != AF_INET && local.sin6_family != AF_INET6) ? -1 : route_open();
    if (netlink >= 0) {
        route_find(netlink, (struct sockaddr *)&local, 0, &route); /* of the table `local`, which names the interface that has it */
    }
    route_close(netlink);
    return route.index;
}

bool fallback_is_lost(uint32_t index)
{
    int netlink = index ? route_open() : -1;
    bool lost = netlink >= 0 && !route_has_carrier(netlink, index);
    route_close(netlink);
    return lost;
}

bool fallback_reaches(const struct sockaddr *address, uint32_t over)
{
    int netlink = over ? route_open() : -1;
    struct route way;
    bool reaches = netlink >= 0 && route_find(netlink, address, over, &way) && way.index == over && !route_is_barred(netlink, address, over, over);
    route_close(netlink);
    return reaches;
}

unsigned fallback_routes(int fd, const struct sockaddr *address, uint32_t own, bool lost, uint32_t *list)
{
    int netlink = route_open();
    uint32_t bound = bound_to(fd);
    struct route route = { 0 };
    struct ranked routes[FALLBACK_ROUTES];
    own = bound ? bound : own;
    bool known = netlink >= 0 && route_find(netlink, address, own, &route);
    int count = netlink < 0 || (known && !route.through) ? 0 : others(netlink, address, own ? own : route.index, lost, routes);
    route_close(netlink);
    for (int i = 0; i < count; i++) {
        list[i] = routes[i].route.index;
    }
    return (unsigned)count;
}

int fallback_socket(int fd, uint32_t index, const struct sockaddr *address, socklen_t length)
{
    int domain = 0, protocol = 0;
    socklen_t size = sizeof domain;
    if (REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size)
        || REAL(getsockopt)(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size)) {
        return -1;
    }
    int other = own_lift((int)REAL(syscall)(SYS_socket, domain, SOCK_STREAM | SOCK_CLOEXEC, protocol));
    if (other < 0) {
        return -1;
    }
    if (!bound_bind(other, index, address, length)) {
        own_remove(other);
        REAL(syscall)(SYS_close, other);
        return -1;
    }
    socket_copy_attributes(fd, other, true);
    return other;
}

/* A socket whose connect() the program has left by siglongjmp, as wget does; the next attempt of the thread closes it. */
static _Thread_local int abandoned = -1;

static void abandon(void)
{
    if (abandoned >= 0) {
        own_remove(abandoned);
        REAL(syscall)(SYS_close, abandoned);
        abandoned = -1;
    }
}

int fallback_after(int fd, const struct sockaddr *address, socklen_t length, uint32_t own)
{
    uint32_t routes[FALLBACK_ROUTES];
    int saved = errno, result = -1;
    if ((saved != ENETUNREACH && saved != EHOSTUNREACH && saved != ENETDOWN && saved != ETIMEDOUT) || !fork_same_process()) {
        return -1;
    }
    struct stream *s = stream_of(fd);
    unsigned count = fallback_routes(fd, address, own, saved != ETIMEDOUT, routes);
    int64_t each = FALLBACK_LIMIT_NS / (count ? count : 1);
    const struct timeval limit = { each / 1000000000, each % 1000000000 / 1000 };
    for (unsigned i = 0; i < count && result; i++) {
        abandon();
        int other = abandoned = fallback_socket(fd, routes[i], address, length);
        if (other < 0) {
            continue;
        }
        struct timeval none = { 0 }, set = { 0 };
        socklen_t size = sizeof set;
        bool bounded = !REAL(getsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &set, &size) && !set.tv_sec && !set.tv_usec
            && !REAL(setsockopt)(other, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        result = REAL(connect)(other, address, length);
        int error = errno;
        long flags = REAL(syscall)(SYS_fcntl, other, F_GETFL);
        if (result && error != EINTR && (error != EINPROGRESS || (bounded && !(flags & O_NONBLOCK)))) {
            continue; /* it has failed, or nobody has answered in time */
        }
        if (bounded) {
            REAL(setsockopt)(other, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
        }
        int close_on_exec = (int)REAL(syscall)(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC;
        if (s && epoll_know(s)) {
            result = -1; /* where its sets are not known, it stays */
            break;
        }
        if (s) {
            epoll_part(s, fd);
        }
        REAL(syscall)(SYS_dup3, other, fd, close_on_exec ? O_CLOEXEC : 0);
        if (s) {
            epoll_join(s, fd);
        }
        saved = error;
        break;
    }
    abandon();
    errno = saved;
    return result;
}
