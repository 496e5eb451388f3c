/* names.h: names and the addresses they gave, kept until the core is there to be told. */
#ifndef MIDSTREAM_NAMES_H
#define MIDSTREAM_NAMES_H

#include <stdbool.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/* Marks a descriptor that speaks to port 53. False when the address is of another port. */
bool names_note_port(int fd, const struct sockaddr *address, socklen_t length);

/* A datagram or a piece of a TCP stream that came from port 53. */
void names_dns(const void *octets, size_t count);

/* By the agent, once the core is up. */
void names_flush(void);

/*
 * Other addresses that the name has given lately, together with this one, of the same family and with the same port. How many; `most` at
 * most. Two names may share an address, and nothing else.
 */
unsigned names_others(const char *name, const struct sockaddr_in6 *address, struct sockaddr_in6 *others, unsigned most);

#endif
