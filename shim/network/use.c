/* use.c: binds new connections to the interface that a person has chosen. */
#include "use.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../cgo/abi.h"
#include "process/calls.h"
#include "process/load.h"
#include "process/runtime.h"
#include "bound.h"
#include "route.h"

void use_read_order(struct use_order *order)
{
    char folder[RUNTIME_FOLDER_MAX];
    order->names[0] = 0;
    for (order->count = 0; order->count < MS_ORDER; order->count++) {
        order->index[order->count] = atomic_load_explicit(&shared.order[order->count], memory_order_relaxed);
        if (!order->index[order->count]) {
            break;
        }
    }
    if (order->count) {
        return;
    }
    long length = runtime_link("order", order->names, sizeof order->names, folder);
    if (length <= 0 || !runtime_is_served(folder)) {
        order->names[0] = 0;
    } else if (length == sizeof order->names - 1) {
        /* There may be more: the last name may be another's beginning. */
        char *last = strrchr(order->names, ' ');
        *(last ? last : order->names) = 0;
    }
}

unsigned use_rank(const struct use_order *order, const char *name, uint32_t index, bool *costs)
{
    size_t length = strlen(name);
    unsigned rank = 0;
    for (; rank < order->count; rank++) {
        *costs = order->index[rank] & MS_ORDER_COSTS;
        if ((order->index[rank] & ~MS_ORDER_COSTS) == index) {
            return rank;
        }
    }
    for (const char *at = order->names; *at; rank++) {
        *costs = *at == ':';
        at += *costs;
        size_t n = strcspn(at, " ");
        if (n == length && !memcmp(at, name, n)) {
            return rank;
        }
        at += n;
        at += *at == ' ';
    }
    *costs = false;
    return USE_UNRANKED;
}

/* The index of the interface to use, 0 for none. */
static unsigned used(int fd)
{
    uint32_t index = atomic_load_explicit(&shared.use_index, memory_order_relaxed);
    char name[IFNAMSIZ + 1], folder[RUNTIME_FOLDER_MAX];
    struct ifreq request = { 0 };
    if (index == MS_USE_NONE) {
        return 0;
    }
    if (index != MS_USE_ALL) {
        return index;
    }
    long length = runtime_link("use", name, sizeof name, folder);
    if (length <= 0) {
        return 0;
    }
    if (length >= IFNAMSIZ) {
        return 0;
    }
    /* Without carrier it would take every packet and deliver none. */
    memcpy(request.ifr_name, name, (size_t)length);
    if (ioctl(fd, SIOCGIFFLAGS, &request) || !(request.ifr_flags & IFF_UP) || !(request.ifr_flags & IFF_RUNNING)) {
        return 0;
    }
    return ioctl(fd, SIOCGIFINDEX, &request) ? 0 : (unsigned)request.ifr_ifindex;
}

/*
 * Whether the way to the address leads through a router, and the interface has such a way. A socket that has been
 * bound cannot be freed again without privileges, so that it is tried with another first: connecting a UDP socket
 * sends nothing.
 */
static bool leads_there(unsigned index, const struct sockaddr *address, socklen_t length)
{
    int family = address->sa_family, on = 1, off = 0;
    int probe = (int)REAL(syscall)(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = probe >= 0;
    if (good && family == AF_INET) {
        /* ip(7), socket(7): with SO_DONTROUTE only directly attached networks are reached. */
        good = !REAL(setsockopt)(probe, SOL_SOCKET, SO_DONTROUTE, &on, sizeof on)
            && REAL(syscall)(SYS_connect, probe, address, length)
            && !REAL(setsockopt)(probe, SOL_SOCKET, SO_DONTROUTE, &off, sizeof off);
    } else if (good) {
        /* IPv6 has no such option: a source with the same prefix tells as much. */
        const struct sockaddr_in6 *to = (const struct sockaddr_in6 *)address;
        struct sockaddr_in6 from;
        socklen_t size = sizeof from;
        good = REAL(syscall)(SYS_connect, probe, address, length)
            || (!REAL(getsockname)(probe, (struct sockaddr *)&from, &size) && memcmp(&from.sin6_addr, &to->sin6_addr, 8));
    }
    good = good && bound_device(probe, index) && !REAL(syscall)(SYS_connect, probe, address, length);
    if (probe >= 0) {
        REAL(syscall)(SYS_close, probe);
    }
    return good;
}

bool use_is_lookup(const struct sockaddr *address)
{
    /* sin6_port is where sin_port is. 53: RFC 1035, RFC 7766; 853: RFC 7858. */
    unsigned port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    return port == 53 || port == 853;
}

/* Whether the kernel lets this program go there over the interface, by its rules and its tunnels. */
static bool is_allowed(unsigned index, const struct sockaddr *address)
{
    struct route route;
    int netlink = route_open();
    bool allowed = netlink < 0
        || (route_find(netlink, address, index, &route) && !route_is_barred(netlink, address, 0, index));
    route_close(netlink);
    return allowed;
}

/* Addresses that are the same whatever the interface. */
bool use_is_local(const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    if (address->sa_family == AF_INET) {
        uint32_t a = ntohl(four->sin_addr.s_addr);
        return a >> 24 == 127 || a == 0 || a >> 16 == 0xa9fe;
    }
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)
        || IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) || IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
}

void use_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;
    bool whole = address
        && ((length >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET)
            || (length >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6));
    if (whole && !use_is_local(address) && !use_is_lookup(address)) {
        unsigned index = used(fd);
        if (index && leads_there(index, address, length) && is_allowed(index, address)) {
            bound_bind(fd, index, address, length);
        }
    }
    errno = saved;
}
