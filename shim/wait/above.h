/*
 * above.h: all that wait/ asks of what calls on a descriptor come to (call/), which stands on it.
 */
#ifndef MIDSTREAM_WAIT_ABOVE_H
#define MIDSTREAM_WAIT_ABOVE_H

#include "stream/stream.h"

/* Whether a failure of the connection would be held back from the program now (call/ending.c). */
bool ending_would_hold(const struct stream *s);

/*
 * The connection has ended as far as a wait (poll, select, epoll) can tell, with nothing left to be read. Lets the core take over if
 * it guards the stream, and returns true when the wait is to be repeated (call/ending.c).
 */
bool ending_met_in_wait(struct stream *s);

/* A wait says that the descriptor is readable: whether it is, for the program. Steps over framing (call/unchunk.c). */
bool unchunk_is_readable(struct stream *s);

/* Of the octets that the kernel says can be read (FIONREAD): how many of those are content, at least. Within the gate (call/unchunk.c). */
int unchunk_unread(struct stream *s, int unread);

#endif
