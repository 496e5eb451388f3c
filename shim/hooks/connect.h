/* connect.h: how a stream begins, and what connect() has to know of a socket. */
#ifndef MIDSTREAM_CONNECT_H
#define MIDSTREAM_CONNECT_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The program has bound the tracked or fresh socket to an interface, an address or a port. */
void connect_is_bound(int fd);

/*
 * Whether a write to the address opens a connection (MSG_FASTOPEN, tcp(7)), of which nothing is known yet; before it is made. If so,
 * the second is to be called with its result, keeps errno, and makes the record that the octets are for.
 */
bool connect_by_writing(int fd, int flags, const struct sockaddr *to, socklen_t length);
void connect_by_writing_begun(int fd, const struct sockaddr *to, socklen_t length, ssize_t result);

#endif
