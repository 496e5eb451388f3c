/*
 * quic.h: QUIC, by which HTTP/3 goes past all that is followed here. Where the configuration wants that (tls.http3), it is refused, and
 * programs go on over TCP.
 *
 * Refused is what is sent to port 443 by UDP, and connect() to it of a socket that does not wait, as all of QUIC's are: one that
 * waits is getaddrinfo's, or somebody else's who only asks the kernel for the way to an address. The error is ECONNREFUSED, which a
 * connected socket of UDP has natively where no server is: QUIC's clients know that it is for good. EACCES and EPERM would be tried again (a
 * firewall's rules come and go), and after ENETUNREACH some hold the whole network for lost.
 */
#ifndef MIDSTREAM_QUIC_H
#define MIDSTREAM_QUIC_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether anything is refused at all. Keeps errno. */
bool quic_may_be_refused(void);

/* connect(), and what is sent to an address, which is the program's memory. True: it fails, with the errno that is set. */
bool quic_refuses_connect(int fd, const struct sockaddr *to, socklen_t length);
bool quic_refuses(int fd, const void *to, socklen_t length);

/* The same of messages, which are the program's: how many there are before the first that fails; `count` if none does. */
unsigned quic_accepts(int fd, const struct mmsghdr *messages, unsigned count);

#endif
