/*
 * ending.h: what the end of a connection means, FIN or an error, and who is told of it first.
 *
 * Where the response is over with it, the program sees it. Where it breaks the response off and the core guards the stream, the program
 * is held at the gate until the core has put something else behind the descriptor, or has given up.
 */
#ifndef MIDSTREAM_ENDING_H
#define MIDSTREAM_ENDING_H

#include "call.h"

/* errno of a read that ends a connection. */
bool ending_is_fatal(int error);

/* The response ends with the connection, as far as anybody knows. */
bool ending_is_due(const struct stream *s);

/* Whether the end of the connection, as a read has met it, is the response's end as well, or breaks it off. */
bool ending_concerns(const struct call *call, int error);

/* Whether a failure of the connection would be held back from the program now. */
bool ending_would_hold(const struct stream *s);

/* The connection has ended, with errno or by FIN (0). True when the program is held. By a call inside the gate. */
bool ending_hold(struct stream *s, int error);

/*
 * The connection has ended as far as a wait (poll, select, epoll) can tell, with nothing left to be read. Lets the core take over if
 * it guards the stream, and returns true when the wait is to be repeated.
 */
bool ending_met_in_wait(struct stream *s);

#endif
