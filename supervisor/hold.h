/*
 * hold.h: keeps a program's own socket in the state of a connection that is being made, for as long as the supervisor makes the
 * real one, and then makes it one that is made.
 *
 * The socket is connected over loopback to a port of the supervisor's that drops every packet: it stays in SYN-SENT, as it would
 * natively, whether a thread sleeps in connect() or the socket is in an epoll set. Another socket of the supervisor's, with that port and
 * address as its own, then connects to the program's: both have sent SYN, and that makes a connection (simultaneous open, RFC 9293
 * §3.5). No descriptor changes, nor what is set on it, and nobody else can get in between: the pair of ports is known to the kernel.
 */
#ifndef MIDSTREAM_SUPERVISOR_HOLD_H
#define MIDSTREAM_SUPERVISOR_HOLD_H

#include <stdbool.h>
#include <stdint.h>

enum hold_way { HOLD_FOUR, HOLD_MAPPED, HOLD_SIX }; /* IPv4; IPv4 by an IPv6 socket; IPv6 */

/* Opens the ports. False: there is no loopback. */
bool hold_open(void);

/* Connects a program's socket. Its own port, or 0 with errno. */
uint16_t hold_begin(int fd, enum hold_way way);

/* Whether the program's socket is still on its way there. True where that cannot be told. Asks the kernel: sock_diag(7). */
bool hold_is_held(enum hold_way way, uint16_t port);

/* A socket that is on its way to the program's, non-blocking, mostly connected already; -1: the program's is not there any more. */
int hold_meet(enum hold_way way, uint16_t port);

/* The connection cannot be made: the socket is as one that was refused, and says so. */
void hold_refuse(int fd, enum hold_way way);

/* The same, of which the call in which a thread sleeps says so: the socket is as it was before. */
void hold_end(int fd);

#endif
