/*
 * flight.h: the first flight of a TLS handshake, kept for as long as nothing of its answer has been read.
 *
 * A ClientHello means the same on every connection: its keys are in the program's library, which has seen nothing of any answer. So it
 * may be sent on another connection, octet for octet (attempt.h). One that is followed by early data (RFC 8446 §2.3) is not kept.
 */
#ifndef MIDSTREAM_FLIGHT_H
#define MIDSTREAM_FLIGHT_H

#include "stream/stream.h"

/* What the program has sent first: kept if it is one ClientHello, whole, and nothing else, and there is room. */
bool flight_keep(struct stream *s, const uint8_t *octets, size_t count);

/* Sends it on a connection that has just been made. False: it cannot be. */
bool flight_send(struct stream *s, int fd);

/*
 * Other servers of the name, by look-ups of the program's; number 0 is the stream's own. flight_find looks for them, and returns how many
 * there are.
 */
#define FLIGHT_OTHERS 3
unsigned flight_find(struct stream *s);
struct sockaddr_in6 flight_server(struct stream *s, unsigned number);

void flight_drop(struct stream *s);

#endif
