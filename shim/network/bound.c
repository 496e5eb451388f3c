/* bound.c: see bound.h. */
#include "bound.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "process/clock.h"
#include "process/load.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* Of some 28,000 ports, that many a second stay within a sixth. */
#define PORTS_A_SECOND 64

bool bound_device(int fd, unsigned index)
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
    bool good = probe >= 0 && bound_device(probe, index) && !REAL(syscall)(SYS_connect, probe, to, length)
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

bool bound_bind(int fd, unsigned index, const struct sockaddr *to, socklen_t length)
{
    struct sockaddr_in6 from;
    if (!load_is_near(fd) || !bound_device(fd, index)) {
        return false;
    }
    /* Left to connect(), the port may be another program's towards the same server; see core/netif/port.go. */
    if (may_take_port() && source(index, to, length, &from)) {
        REAL(bind)(fd, (struct sockaddr *)&from, to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof from);
    }
    return true;
}

uint32_t bound_to(int fd)
{
    int index = 0;
    socklen_t length = sizeof index;
    return REAL(getsockopt)(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &length) || index < 0 ? 0 : (uint32_t)index;
}
