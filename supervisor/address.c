/* address.c: see address.h. */
#include "address.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

socklen_t address_length(const union address *a) { return a->any.sa_family == AF_INET ? sizeof a->four : sizeof a->six; }

uint16_t address_port(const union address *a) { return ntohs(a->any.sa_family == AF_INET ? a->four.sin_port : a->six.sin6_port); }

bool address_is_mapped(const union address *a) { return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->six.sin6_addr); }

/* The IPv4 address, in host order, where it is one. */
static bool four(const union address *a, uint32_t *number)
{
    uint32_t octets = a->four.sin_addr.s_addr;
    if (address_is_mapped(a)) {
        memcpy(&octets, &a->six.sin6_addr.s6_addr[12], sizeof octets);
    }
    *number = ntohl(octets);
    return a->any.sa_family == AF_INET || address_is_mapped(a);
}

bool address_is_none(const union address *a)
{
    uint32_t number;
    return four(a, &number) ? number == 0 : IN6_IS_ADDR_UNSPECIFIED(&a->six.sin6_addr);
}

static bool is_same_host(const union address *a, const union address *b)
{
    return a->any.sa_family == b->any.sa_family
        && (a->any.sa_family == AF_INET ? a->four.sin_addr.s_addr == b->four.sin_addr.s_addr
                                        : IN6_ARE_ADDR_EQUAL(&a->six.sin6_addr, &b->six.sin6_addr));
}

/* A datagram socket that is connected sends nothing, but is given the address that it would send from: this host's own, for itself. */
static bool is_own(const union address *a)
{
    static int sockets[2] = { -1, -1 };
    bool six = a->any.sa_family == AF_INET6;
    union address from, none = { .any.sa_family = AF_UNSPEC };
    socklen_t length = sizeof from;
    int *fd = &sockets[six];
    if (*fd < 0) {
        *fd = (int)syscall(SYS_socket, a->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    syscall(SYS_connect, *fd, &none, sizeof none);
    return !syscall(SYS_connect, *fd, a, address_length(a)) && !syscall(SYS_getsockname, *fd, &from, &length) && is_same_host(a, &from);
}

bool address_stays_here(const union address *a)
{
    uint32_t number;
    if (four(a, &number)) {
        return number >> 24 == 127 || number >> 24 == 0 || number >> 28 >= 14 || is_own(a);
    }
    const struct in6_addr *six = &a->six.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_UNSPECIFIED(six) || IN6_IS_ADDR_MULTICAST(six) || is_own(a);
}
