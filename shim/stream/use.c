/* use.c: binds new connections to the interface that a person has chosen. */
#include "use.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../cgo/abi.h"
#include "process/calls.h"
#include "process/load.h"
#include "route.h"
#include "process/clock.h"

/* Where root's midstreamd keeps what holds for all users. */
#define HOST_FOLDER "/run/midstream"

#define FOLDER_MAX 200

/* Of some 28,000 ports, that many a second stay within a sixth. */
#define PORTS_A_SECOND 64

static long link_text(const char *path, char *text, size_t size)
{
    long length = REAL(syscall)(SYS_readlinkat, AT_FDCWD, path, text, size - 1);
    if (length > 0) {
        text[length] = 0;
    }
    return length;
}

/* A folder that nobody else can have put anything into. */
static bool is_own(const char *folder, bool closed)
{
    struct stat status;
    return !lstat(folder, &status) && S_ISDIR(status.st_mode) && status.st_uid == geteuid()
        && (!closed || !(status.st_mode & 077));
}

/* The runtime folder, by the rules of core/control/dir.go. */
static bool runtime_folder(char *folder, size_t size)
{
    const char *given = getenv("MIDSTREAM_RUNTIME_DIR");
    const char *base = getenv("XDG_RUNTIME_DIR");
    char own[64];
    if (given && *given) {
        return (size_t)snprintf(folder, size, "%s", given) < size;
    }
    if (!base || !*base || !is_own(base, false)) {
        unsigned user = (unsigned)geteuid();
        base = own;
        snprintf(own, sizeof own, "/run/user/%u", user);
        if (!is_own(base, false)) {
            return (size_t)snprintf(folder, size, "/tmp/midstream-%u", user) < size;
        }
    }
    return (size_t)snprintf(folder, size, "%s/midstream", base) < size;
}

/*
 * The text of a link in the runtime folder, or else in the host's; 0 where there is none to be trusted. That folder's path
 * goes to `folder`.
 */
static long ordered(const char *link, char *text, size_t size, char folder[FOLDER_MAX])
{
    char path[256];
    if (!runtime_folder(folder, FOLDER_MAX)) {
        return 0;
    }
    snprintf(path, sizeof path, "%s/%s", folder, link);
    long length = link_text(path, text, size);
    if (length > 0) {
        return is_own(folder, true) ? length : 0;
    }
    const char *given = getenv("MIDSTREAM_RUNTIME_DIR");
    if (given && *given) {
        return 0;
    }
    strcpy(folder, HOST_FOLDER);
    snprintf(path, sizeof path, "%s/%s", folder, link);
    length = link_text(path, text, size);
    return length > 0 ? length : 0;
}

/* Whether a midstreamd serves the folder: one that was killed leaves its order behind, and a socket that nobody listens on. */
static bool is_served(const char *folder)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    if ((size_t)snprintf(name.sun_path, sizeof name.sun_path, "%s/midstreamd.sock", folder) >= sizeof name.sun_path) {
        return false;
    }
    int fd = (int)REAL(syscall)(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool served = !REAL(syscall)(SYS_connect, fd, &name, sizeof name) || errno == EAGAIN;
    REAL(syscall)(SYS_close, fd);
    return served;
}

void use_read_order(struct use_order *order)
{
    char folder[FOLDER_MAX];
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
    long length = ordered("order", order->names, sizeof order->names, folder);
    if (length <= 0 || !is_served(folder)) {
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
    char name[IFNAMSIZ + 1], folder[FOLDER_MAX];
    struct ifreq request = { 0 };
    if (index == MS_USE_NONE) {
        return 0;
    }
    if (index != MS_USE_ALL) {
        return index;
    }
    long length = ordered("use", name, sizeof name, folder);
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

static bool bind_device(int fd, unsigned index)
{
    char name[IFNAMSIZ];
    return if_indextoname(index, name)
        && !REAL(setsockopt)(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name));
}

/*
 * The address from which the kernel would connect goes there over the interface, with port 0. Connecting a UDP socket sends
 * nothing.
 */
static bool source(unsigned index, const struct sockaddr *to, socklen_t length, struct sockaddr_in6 *from)
{
    socklen_t size = sizeof *from;
    int probe = (int)REAL(syscall)(SYS_socket, to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = probe >= 0 && bind_device(probe, index) && !REAL(syscall)(SYS_connect, probe, to, length)
        && !REAL(getsockname)(probe, (struct sockaddr *)from, &size);
    if (probe >= 0) {
        REAL(syscall)(SYS_close, probe);
    }
    from->sin6_port = 0; /* where sin_port is, too */
    return good;
}

/*
 * No other connect() takes such a port until a minute after its connection has ended (TIME_WAIT), whatever its destination:
 * a program that connects all the time must not take them all. Threads at the same moment may count too few.
 */
static bool may_take_port(void)
{
    static _Atomic int64_t second;
    static _Atomic int taken;
    int64_t now = coarse_now_ns() / 1000000000LL;
    if (atomic_exchange(&second, now) != now) {
        atomic_store(&taken, 0);
    }
    return atomic_fetch_add(&taken, 1) < PORTS_A_SECOND;
}

bool use_bind_index(int fd, unsigned index, const struct sockaddr *to, socklen_t length)
{
    struct sockaddr_in6 from;
    if (!load_is_near(fd) || !bind_device(fd, index)) {
        return false;
    }
    /* Left to connect(), the port may be another program's towards the same server; see core/netif/port.go. */
    if (may_take_port() && source(index, to, length, &from)) {
        REAL(bind)(fd, (struct sockaddr *)&from, to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof from);
    }
    return true;
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
    good = good && bind_device(probe, index) && !REAL(syscall)(SYS_connect, probe, address, length);
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
            use_bind_index(fd, index, address, length);
        }
    }
    errno = saved;
}
