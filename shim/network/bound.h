/* bound.h: sockets that are bound to an interface, and connect from a port that no other socket has. */
#ifndef MIDSTREAM_BOUND_H
#define MIDSTREAM_BOUND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Binds a socket to the interface. */
bool bound_device(int fd, unsigned index);

/*
 * Binds a TCP socket, which is about to be connected to the address, to the interface, and to a port that no other
 * socket has if it is not one of very many (core/netif/port.go says why); false where the interface cannot be had.
 */
bool bound_bind(int fd, unsigned index, const struct sockaddr *to, socklen_t length);

/* The interface that a socket is bound to, 0 for none. */
uint32_t bound_to(int fd);

#endif
