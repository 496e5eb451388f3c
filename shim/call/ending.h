/*
 * ending.h: what the end of a connection means, FIN or an error, and who is told of it first.
 *
 * Where the response is over with it, the program sees it. Where it breaks the response off and the core guards the stream, the program
 * is held at the gate until the core has put something else behind the descriptor, or has given up.
 */
#ifndef MIDSTREAM_ENDING_H
#define MIDSTREAM_ENDING_H

#include "call.h"
#include "wait/above.h"

/* errno of a read that ends a connection. */
bool ending_is_fatal(int error);

/* The response ends with the connection, as far as anybody knows. */
bool ending_is_due(const struct stream *s);

/* Whether the end of the connection, as a read has met it, is the response's end as well, or breaks it off. */
bool ending_concerns(const struct call *call, int error);

/* The connection has ended, with errno or by FIN (0). True when the program is held. By a call inside the gate. */
bool ending_hold(struct stream *s, int error);

#endif
