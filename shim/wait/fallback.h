/*
 * fallback.h: connection attempts that have no way over the interface the kernel chooses are tried over another.
 *
 * The core is rarely there before a connection is, so that the kernel is asked here: which route leads to the address,
 * whether its interface has carrier, and which other interfaces have a route there. Their order is the interface
 * manager's, where it has told one (use.h), and of what it has not told the kernel's, without those that the
 * configuration forbids. An attempt in a blocking connect() costs seven short system calls before it, as nothing can be done in
 * it; any other one costs the question whether it blocks. The rest is done only where something is wrong.
 */
#ifndef MIDSTREAM_FALLBACK_H
#define MIDSTREAM_FALLBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The other interfaces together get so long: more than one round trip, and a second one if the first packet is lost; and
 * little enough for a host that is nowhere to be given up about when it would be without Midstream.
 */
#define FALLBACK_LIMIT_NS 1500000000LL

/*
 * An address that may be reached over another interface: AF_INET or AF_INET6, and not one of this host's, nor a name server, which
 * belongs to its network.
 */
bool fallback_is_possible(const struct sockaddr *address, socklen_t length);

/*
 * Binds a socket that waits in connect() to another interface if the one it would take has no carrier. errno is kept.
 * Returns the one it would take; 0: not looked for.
 */
uint32_t fallback_before(int fd, const struct sockaddr *address, socklen_t length);

/*
 * Tries anew over other interfaces after connect() has failed with errno: with other sockets, of which one that gets
 * there takes the place of fd. Returns what connect() would; when nothing helps, fd and errno are as they were. `own`: as
 * fallback_before has returned.
 */
int fallback_after(int fd, const struct sockaddr *address, socklen_t length, uint32_t own);

/*
 * The interfaces, other than `own`, that lead to the address, best first; up to FALLBACK_ROUTES. How many. Where `own` is 0 it
 * is the kernel's present choice; once a router has fallen silent, that may be another than it was. None that goes past a
 * tunnel or the kernel's rules (route.h); and unless its own network is known to be lost, none that costs more.
 */
unsigned fallback_routes(int fd, const struct sockaddr *address, uint32_t own, bool lost, uint32_t *routes);

/* The interface that the socket takes to the address, which goes to *own, has no carrier. */
bool fallback_is_cut_off(int fd, const struct sockaddr *address, uint32_t *own);

/* The interface that a connection is over, by its own address; 0 unknown. */
uint32_t fallback_interface_of(int fd);

/* It has no carrier. */
bool fallback_is_lost(uint32_t index);

/* Whether it may be reached over that interface, which another server of the name is reached over. */
bool fallback_reaches(const struct sockaddr *address, uint32_t over);

/* A socket like fd, bound to the interface over which it is to be connected; a descriptor of Midstream's, or -1. */
int fallback_socket(int fd, uint32_t index, const struct sockaddr *address, socklen_t length);

#endif
