/* route.c: see route.h. */
#include "route.h"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "process/lines.h"
#include "process/settings.h"

int route_open(void)
{
    return (int)REAL(syscall)(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

void route_close(int netlink)
{
    if (netlink >= 0) {
        REAL(syscall)(SYS_close, netlink);
    }
}

/* One question; what does not fit into the answer is not needed. */
static ssize_t ask(int netlink, struct nlmsghdr *question, void *answer, size_t size)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    question->nlmsg_flags = NLM_F_REQUEST;
    if (REAL(sendto)(netlink, question, question->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        return -1;
    }
    return REAL(recv)(netlink, answer, size, MSG_DONTWAIT);
}

static void number(struct rtattr *a, uint32_t *to)
{
    if (RTA_PAYLOAD(a) >= sizeof *to) {
        memcpy(to, RTA_DATA(a), sizeof *to);
    }
}

/*
 * RTM_F_FIB_MATCH asks for the table's entry itself: otherwise IPv4 takes for granted that everything is on the link of an
 * interface that is asked for.
 */
bool route_find(int netlink, const struct sockaddr *to, uint32_t over, struct route *route)
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
    question.route.rtm_flags = RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE;
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
    memset(route, 0, sizeof *route);
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)) || answer.header.nlmsg_type != RTM_NEWROUTE) {
        return false;
    }
    struct rtmsg *found = NLMSG_DATA(&answer.header);
    int left = (int)got - (int)NLMSG_LENGTH(sizeof *found);
    route->through = found->rtm_dst_len == 0;
    route->table = found->rtm_table;
    for (a = RTM_RTA(found); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_OIF) {
            number(a, &route->index);
        } else if (a->rta_type == RTA_PRIORITY) {
            number(a, &route->metric);
        } else if (a->rta_type == RTA_TABLE) {
            number(a, &route->table);
        } else if (a->rta_type == RTA_GATEWAY || a->rta_type == RTA_VIA) {
            route->through = true;
        }
    }
    return found->rtm_type == RTN_UNICAST;
}

struct link {
    unsigned flags, hardware;
    uint32_t master;
    char driver[16]; /* IFLA_INFO_KIND, "" where there is none */
};

/* IFLA_INFO_KIND out of the value of IFLA_LINKINFO, of which the end may be missing. */
static void read_driver(struct link *link, struct rtattr *a, int left)
{
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_INFO_KIND) {
            size_t n = RTA_PAYLOAD(a) < sizeof link->driver - 1 ? RTA_PAYLOAD(a) : sizeof link->driver - 1;
            memcpy(link->driver, RTA_DATA(a), n);
            link->driver[n] = 0;
            return;
        }
    }
}

/* What has to be known of an interface; false where the kernel does not say. */
static bool look(int netlink, uint32_t index, struct link *link)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
        struct rtattr mask;
        uint32_t filter;
    } question = { .header = { .nlmsg_len = sizeof question, .nlmsg_type = RTM_GETLINK }, .link = { .ifi_index = (int)index },
                   .mask = { .rta_len = RTA_LENGTH(sizeof question.filter), .rta_type = IFLA_EXT_MASK },
                   .filter = RTEXT_FILTER_SKIP_STATS };
    union {
        struct nlmsghdr header;
        char octets[1280];
    } answer;
    ssize_t got = ask(netlink, &question.header, &answer, sizeof answer);
    memset(link, 0, sizeof *link);
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct ifinfomsg)) || answer.header.nlmsg_type != RTM_NEWLINK) {
        return false;
    }
    struct ifinfomsg *found = NLMSG_DATA(&answer.header);
    int left = (int)got - (int)NLMSG_LENGTH(sizeof *found);
    link->flags = found->ifi_flags;
    link->hardware = found->ifi_type;
    struct rtattr *a = IFLA_RTA(found);
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_MASTER) {
            number(a, &link->master);
        } else if (a->rta_type == IFLA_LINKINFO) {
            read_driver(link, RTA_DATA(a), (int)RTA_PAYLOAD(a));
        }
    }
    if (left >= (int)sizeof *a && a->rta_type == IFLA_LINKINFO && (int)a->rta_len > left) {
        read_driver(link, RTA_DATA(a), left - (int)RTA_LENGTH(0)); /* its end has not fitted in */
    }
    return true;
}

bool route_has_carrier(int netlink, uint32_t index)
{
    struct link link;
    return !look(netlink, index, &link) || (link.flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
}

static bool name_of(uint32_t index, char *name)
{
    struct ifreq request = { .ifr_ifindex = (int)index };
    int fd = (int)REAL(syscall)(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = fd >= 0 && !REAL(ioctl)(fd, SIOCGIFNAME, &request);
    if (fd >= 0) {
        REAL(syscall)(SYS_close, fd);
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return found;
}

/* Whether a driver, or a type of hardware, is a tunnel's whatever else there is: as core/netif/tunnel.go has it. */
static bool is_tunnel(const struct link *link)
{
    static const char *const drivers[] = { "tun", "wireguard", "amneziawg", "ovpn", "ovpn-dco", "xfrm", "vti", "vti6", "ipip", "sit",
        "ip6tnl", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "vxlan", "geneve", "bareudp", "gtp", "amt" };
    for (unsigned i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        if (!strcmp(link->driver, drivers[i])) {
            return true;
        }
    }
    return link->hardware == ARPHRD_TUNNEL || link->hardware == ARPHRD_TUNNEL6 || link->hardware == ARPHRD_SIT
        || link->hardware == ARPHRD_IPGRE || link->hardware == ARPHRD_IP6GRE;
}

/* Point-to-point protocol runs over another interface where a route to a single host, behind a router, leads out of that one. */
static bool is_over_another(const char *name)
{
    struct lines l;
    bool is = false;
    if (!lines_open(&l, "/proc/thread-self/net/route")) {
        return false;
    }
    while (!is && lines_next(&l)) { /* Iface Destination Gateway Flags RefCnt Use Metric Mask: numbers in hexadecimal */
        char interface[IFNAMSIZ + 1];
        unsigned flags = 0;
        is = sscanf(l.line, "%16s %*x %*x %x", interface, &flags) == 2 && (flags & (RTF_HOST | RTF_GATEWAY)) == (RTF_HOST | RTF_GATEWAY)
            && strcmp(interface, name) != 0;
    }
    lines_close(&l);
    return is;
}

/* What the configuration says of the interface's kind comes first. */
static bool leads_through_tunnel(int netlink, uint32_t index)
{
    struct link link;
    char name[IFNAMSIZ];
    if (!name_of(index, name) || !look(netlink, index, &link)) {
        return false;
    }
    enum settings_kind said = settings_kind(name);
    bool ppp = !strcmp(link.driver, "ppp") || (!link.driver[0] && link.hardware == ARPHRD_PPP);
    return said ? said == SETTINGS_TUNNEL : ppp ? is_over_another(name) : is_tunnel(&link);
}

/* The VRF that an interface is, or belongs to; 0 for none. */
static uint32_t vrf_of(int netlink, uint32_t index)
{
    struct link link;
    for (int hops = 0; index && hops < 4 && look(netlink, index, &link); hops++) { /* a bridge or a bond may be between */
        if (!strcmp(link.driver, "vrf")) {
            return index;
        }
        index = link.master;
    }
    return 0;
}

/* Whether a rule of the administrator's has chosen the table, and not the kernel's own three. */
static bool is_by_rule(const struct route *r) { return r->table && (r->table < RT_TABLE_DEFAULT || r->table > RT_TABLE_LOCAL); }

bool route_is_barred(int netlink, const struct sockaddr *to, uint32_t own, uint32_t over)
{
    struct route present, other;
    char name[IFNAMSIZ];
    bool known = route_find(netlink, to, 0, &present) && present.index;
    bool barred = (own && own != over && leads_through_tunnel(netlink, own))
        || (known && present.index != over && leads_through_tunnel(netlink, present.index))
        || (known && present.index != over && is_by_rule(&present) && route_find(netlink, to, over, &other) && !is_by_rule(&other))
        || (known && vrf_of(netlink, own ? own : present.index) != vrf_of(netlink, over));
    return barred && !(name_of(over, name) && settings_leave_tunnel(name));
}
