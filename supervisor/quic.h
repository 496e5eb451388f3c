/*
 * quic.h: refuses QUIC, where the configuration wants that (tls.http3): of programs that make their calls past the preload, whose
 * shim/network/quic.h says what is refused, and why so. Without an address, a datagram goes to where connect() has been let.
 */
#ifndef MIDSTREAM_SUPERVISOR_QUIC_H
#define MIDSTREAM_SUPERVISOR_QUIC_H

#include <stdbool.h>

struct notice;

/* Before the first call. */
void quic_refuse(bool refuse);

/* Whether connect() was refused, and is answered. */
bool quic_connect(struct notice *n);

/* sendto(), sendmsg(), sendmmsg(). */
void quic_send(struct notice *n);

#endif
