/*
 * use.h: the interface that new connections are to take, as ordered by `midstreamctl use`.
 *
 * The order for all processes is a symbolic link called "use" in the runtime folder, whose text is the
 * interface's name: it is there before the core is, and reading it costs one system call and no descriptor. An
 * order for this process alone comes through ms_shared.use_index.
 */
#ifndef MIDSTREAM_USE_H
#define MIDSTREAM_USE_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Binds a TCP socket that is about to be connected to the interface in use. Does nothing if the program has
 * bound it already, if the address is this host's or one on a network it is directly attached to, or if the
 * interface cannot reach it. errno is kept.
 */
void use_bind(int fd, const struct sockaddr *address, socklen_t length);

/* The program has chosen an interface, an address or a port for the socket by itself. */
bool use_is_bound(int fd);

/* Binds the socket to the interface; false where that is not possible. */
bool use_bind_index(int fd, unsigned index);

/* Addresses that are the same whatever the interface. AF_INET or AF_INET6. */
bool use_is_local(const struct sockaddr *address);

#endif
