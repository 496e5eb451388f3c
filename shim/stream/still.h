/*
 * still.h: a connection on which nothing more arrives.
 *
 * A thread that sleeps in a read can only be woken by SHUT_RD, after which the connection cannot go on: so everything that might
 * speak against a hand-over has to be looked at before, while the thread sleeps. What is found then has to hold until it is awake.
 * A socket filter that lets nothing pass (socket(7), SO_ATTACH_FILTER) sees to that: the peer sends again what was dropped, so it
 * can be taken away as if it had never been there.
 */
#ifndef MIDSTREAM_STILL_H
#define MIDSTREAM_STILL_H

#include "stream.h"

/*
 * Whether all calls inside are reads that sleep, of which none has taken anything that is not counted yet. Once it has said so
 * nothing will arrive any more, on most sockets: not on one that has a filter of the program's, nor on a Multipath TCP socket.
 */
bool still_begin(struct stream *s);

/* Octets arrive again on a socket of the stream's; nothing happens where they did all the time. */
void still_end(struct stream *s, int fd);

#endif
