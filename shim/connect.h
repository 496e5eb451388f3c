/* connect.h: what connect() has to know of a socket. */
#ifndef MIDSTREAM_CONNECT_H
#define MIDSTREAM_CONNECT_H

/* The program has bound the tracked or fresh socket to an interface, an address or a port. */
void connect_is_bound(int fd);

#endif
