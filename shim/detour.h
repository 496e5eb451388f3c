/*
 * detour.h: connection attempts that have no way over the interface the kernel chooses are tried over another.
 *
 * The core is rarely there before a connection is, so that the kernel is asked here: which route leads to the address,
 * whether its interface has carrier, and which other interfaces have a route there that the configuration does not
 * forbid. That costs a connection attempt six short system calls; the rest is done only where something is wrong.
 */
#ifndef MIDSTREAM_DETOUR_H
#define MIDSTREAM_DETOUR_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether the socket is free to go anywhere: not bound by the program, and the address not one of this host's. */
bool detour_is_free(int fd, const struct sockaddr *address, socklen_t length);

/* Binds the socket to another interface if the one it would take has no carrier. errno is kept. */
void detour_before(int fd, const struct sockaddr *address, socklen_t length);

/*
 * Tries anew over other interfaces after connect() has failed with errno. Returns what connect() would; when nothing
 * helps, the socket is as it was, and errno too.
 */
int detour_after(int fd, const struct sockaddr *address, socklen_t length);

#endif
