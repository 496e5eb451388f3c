/* detour.c: see detour.h. */
#include "detour.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "epoll.h"
#include "fork.h"
#include "load.h"
#include "settings.h"
#include "socket.h"
#include "stream.h"
#include "use.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

struct way {
    uint32_t index;  /* of the interface; 0 where several share the route */
    uint32_t metric;
    unsigned rank;   /* in the manager's order */
    bool through;    /* over a router, or over a link that leads everywhere */
};

/* One question to rtnetlink(7); what does not fit into the answer is not needed. */
static ssize_t ask(int netlink, struct nlmsghdr *question, void *answer, size_t size)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    question->nlmsg_flags = NLM_F_REQUEST;
    if (REAL(sendto)(netlink, question, question->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        return -1;
    }
    return REAL(recv)(netlink, answer, size, MSG_DONTWAIT);
}

/*
 * The route to the address, over the interface if one is given. RTM_F_FIB_MATCH asks for the entry itself: otherwise
 * IPv4 takes for granted that everything is on the link of an interface that is asked for.
 */
static bool find(int netlink, const struct sockaddr *to, uint32_t over, struct way *way)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        char attributes[48];
    } question = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_GETROUTE } };
    union {
        struct nlmsghdr header;
        char octets[1024];
    } answer;
    bool four = to->sa_family == AF_INET;
    unsigned short size = four ? 4 : 16;
    struct rtattr *a = (struct rtattr *)question.attributes;
    question.route.rtm_family = (unsigned char)to->sa_family;
    question.route.rtm_dst_len = (unsigned char)(size * 8);
    question.route.rtm_flags = RTM_F_FIB_MATCH;
    a->rta_type = RTA_DST;
    a->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(a), four ? (const void *)&((const struct sockaddr_in *)to)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)to)->sin6_addr, size);
    question.header.nlmsg_len += RTA_SPACE(size);
    if (over) {
        a = (struct rtattr *)(question.attributes + RTA_SPACE(size));
        a->rta_type = RTA_OIF;
        a->rta_len = RTA_LENGTH(sizeof over);
        memcpy(RTA_DATA(a), &over, sizeof over);
        question.header.nlmsg_len += RTA_SPACE(sizeof over);
    }
    ssize_t got = ask(netlink, &question.header, &answer, sizeof answer);
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)) || answer.header.nlmsg_type != RTM_NEWROUTE) {
        return false;
    }
    struct rtmsg *route = NLMSG_DATA(&answer.header);
    int left = (int)got - (int)NLMSG_LENGTH(sizeof *route);
    memset(way, 0, sizeof *way);
    way->through = route->rtm_dst_len == 0;
    for (a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) >= sizeof way->index) {
            memcpy(&way->index, RTA_DATA(a), sizeof way->index);
        } else if (a->rta_type == RTA_PRIORITY && RTA_PAYLOAD(a) >= sizeof way->metric) {
            memcpy(&way->metric, RTA_DATA(a), sizeof way->metric);
        } else if (a->rta_type == RTA_GATEWAY || a->rta_type == RTA_VIA) {
            way->through = true;
        }
    }
    return route->rtm_type == RTN_UNICAST;
}

/* SIOCGIFFLAGS may tell of a lost carrier a second later. */
static bool has_carrier(int netlink, uint32_t index)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } question = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_GETLINK },
                   .link = { .ifi_index = (int)index } },
      answer;
    ssize_t got = ask(netlink, &question.header, &answer, sizeof answer);
    return got < (ssize_t)sizeof answer || answer.header.nlmsg_type != RTM_NEWLINK
        || (answer.link.ifi_flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
}

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

/*
 * Whether the configuration keeps new connections off the interface. Only the core understands all of it: what cannot be
 * judged here (rules with conditions, criteria for sessions, inline tables) counts as forbidden.
 */
static bool is_forbidden(const char *name)
{
    struct settings s;
    char never[sizeof "interfaces..never" + IFNAMSIZ];
    bool forbidden = false;
    snprintf(never, sizeof never, "interfaces.%s.never", name);
    if (!settings_open(&s)) {
        return false;
    }
    while (!forbidden && settings_next(&s)) {
        forbidden = (!strcmp(s.key, "failover.enabled") && starts(s.value, "false"))
            || (!strcmp(s.key, never) && starts(s.value, "true"))
            || (!strcmp(s.key, "policy.rules.avoid") && !strcmp(s.value, name))
            || (strchr(s.value, '{') && !starts(s.key, "policy.servers"))
            || starts(s.key, "policy.rules.[") || (!strcmp(s.key, "policy.rules") && *s.value) || starts(s.key, "sessions.");
    }
    settings_close(&s);
    return forbidden;
}

/* The interface that a socket is bound to, 0 for none. */
static uint32_t bound_to(int fd)
{
    int index = 0;
    socklen_t length = sizeof index;
    return REAL(getsockopt)(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &length) || index < 0 ? 0 : (uint32_t)index;
}

/* Other interfaces with a way to the address: in the manager's order, then in the kernel's own. */
static int others(int netlink, const struct sockaddr *to, uint32_t but, struct way *ways)
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
        struct way way;
        char *name = l.line + strspn(l.line, " "), *end = strchr(name, ':');
        if (!end || (size_t)(end - name) >= IFNAMSIZ) {
            continue;
        }
        *end = 0;
        memcpy(request.ifr_name, name, (size_t)(end - name));
        if (!strcmp(name, "lo") || REAL(ioctl)(netlink, SIOCGIFINDEX, &request) || (uint32_t)request.ifr_ifindex == but
            || !find(netlink, to, (uint32_t)request.ifr_ifindex, &way) || way.index != (uint32_t)request.ifr_ifindex
            || !has_carrier(netlink, way.index)) {
            continue;
        }
        way.rank = use_rank(&order, name, way.index);
        if (way.rank == USE_UNRANKED && is_forbidden(name)) {
            continue;
        }
        int at = count < DETOUR_WAYS ? count++ : DETOUR_WAYS;
        for (; at > 0 && (ways[at - 1].rank > way.rank || (ways[at - 1].rank == way.rank && ways[at - 1].metric > way.metric)); at--) {
            if (at < DETOUR_WAYS) {
                ways[at] = ways[at - 1];
            }
        }
        if (at < DETOUR_WAYS) {
            ways[at] = way;
        }
    }
    lines_close(&l);
    return count;
}

static int open_netlink(void)
{
    return (int)REAL(syscall)(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void close_netlink(int netlink)
{
    if (netlink >= 0) {
        REAL(syscall)(SYS_close, netlink);
    }
}

bool detour_is_possible(const struct sockaddr *address, socklen_t length)
{
    return IS_POINTER(address)
        && ((length >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET)
            || (length >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6))
        && !use_is_local(address);
}

/* A host on the link itself is looked for nowhere else: there, somebody else may have its address. */
static bool is_stuck(int netlink, const struct sockaddr *address, struct way *way)
{
    return find(netlink, address, 0, way) && way->index && way->through && !has_carrier(netlink, way->index);
}

uint32_t detour_before(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;
    long flags = REAL(syscall)(SYS_fcntl, fd, F_GETFL);
    int netlink = flags < 0 || flags & O_NONBLOCK ? -1 : open_netlink();
    struct way way = { 0 }, ways[DETOUR_WAYS];
    if (netlink >= 0 && is_stuck(netlink, address, &way) && !bound_to(fd) && others(netlink, address, way.index, ways) > 0) {
        use_bind_index(fd, ways[0].index, address, length);
    }
    close_netlink(netlink);
    errno = saved;
    return way.index;
}

bool detour_is_cut_off(int fd, const struct sockaddr *address, uint32_t *own)
{
    int netlink = open_netlink();
    struct way way = { .index = bound_to(fd) };
    bool cut = netlink >= 0 && (way.index ? !has_carrier(netlink, way.index) : is_stuck(netlink, address, &way));
    close_netlink(netlink);
    *own = way.index;
    return cut;
}

unsigned detour_ways(int fd, const struct sockaddr *address, uint32_t own, uint32_t *list)
{
    int netlink = open_netlink();
    uint32_t bound = bound_to(fd);
    struct way way = { 0 }, ways[DETOUR_WAYS];
    own = bound ? bound : own;
    bool known = netlink >= 0 && find(netlink, address, own, &way);
    int count = netlink < 0 || (known && !way.through) ? 0 : others(netlink, address, own ? own : way.index, ways);
    close_netlink(netlink);
    for (int i = 0; i < count; i++) {
        list[i] = ways[i].index;
    }
    return (unsigned)count;
}

int detour_socket(int fd, uint32_t index, const struct sockaddr *address, socklen_t length)
{
    int domain = 0, protocol = 0;
    socklen_t size = sizeof domain;
    if (REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size)
        || REAL(getsockopt)(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size)) {
        return -1;
    }
    int other = load_lift((int)REAL(syscall)(SYS_socket, domain, SOCK_STREAM | SOCK_CLOEXEC, protocol));
    if (other < 0) {
        return -1;
    }
    if (!use_bind_index(other, index, address, length)) {
        load_disown(other);
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
        load_disown(abandoned);
        REAL(syscall)(SYS_close, abandoned);
        abandoned = -1;
    }
}

int detour_after(int fd, const struct sockaddr *address, socklen_t length, uint32_t own)
{
    uint32_t ways[DETOUR_WAYS];
    int saved = errno, result = -1;
    if ((saved != ENETUNREACH && saved != EHOSTUNREACH && saved != ENETDOWN && saved != ETIMEDOUT) || !fork_same_process()) {
        return -1;
    }
    struct stream *s = stream_of(fd);
    unsigned count = detour_ways(fd, address, own, ways);
    int64_t each = DETOUR_LIMIT_NS / (count ? count : 1);
    const struct timeval limit = { each / 1000000000, each % 1000000000 / 1000 };
    for (unsigned i = 0; i < count && result; i++) {
        abandon();
        int other = abandoned = detour_socket(fd, ways[i], address, length);
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
