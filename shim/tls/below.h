/*
 * below.h: which descriptor belongs to a TLS session. The library knows the random octets of its ClientHello (RFC 8446 §4.1.2),
 * and the program, or the library, sends them on the descriptor: whatever lies between the two need not be known.
 */
#ifndef MIDSTREAM_BELOW_H
#define MIDSTREAM_BELOW_H

#include <stdbool.h>
#include <stdint.h>

struct stream;
struct tls;
struct tls_library;

/*
 * A call that may have shaken hands is over. If its ClientHello has been sent on a descriptor, the session is tied to that: it
 * is returned then. t, the handle's session, may be NULL.
 */
struct tls *below_look(struct tls_library *library, void *handle, struct tls *t);

/* The random octets of a ClientHello that has gone out within a call on the session, for a library that does not tell them. */
bool below_random(const struct tls *t, uint8_t *random);

#endif
