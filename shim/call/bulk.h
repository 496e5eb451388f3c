/*
 * bulk.h: the short way of a read in the middle of content, which most reads of a fast download are.
 *
 * While the agent is away, nothing is armed and no tail is kept or wanted, a read that cannot reach the end of the content needs
 * no more than to be counted. Whatever differs goes the long way (read_begin, read_end), which decides alone. So do the
 * octets of a TLS session, as long as it is the program's own.
 */
#ifndef MIDSTREAM_BULK_H
#define MIDSTREAM_BULK_H

#include "call.h"
#include "stream/over.h"

/*
 * Begins such a read of `length` octets, to be ended by bulk_end. False: the long way is to be gone; nothing has been
 * changed then.
 */
bool bulk_begin(struct call *call, struct stream *s, size_t length);

/* The same for a read of the TLS session over the stream; to be ended by bulk_end_clear. */
bool bulk_begin_clear(struct call *call, struct stream *s, const struct tls *t, size_t length);

/* Counts what came. True when the call is to be repeated, by the long way. */
bool bulk_end(struct call *call, ssize_t result, void *buffer, size_t length);

/* Counts `count` octets of `length` that were asked for. False when it has not, and the call is to be ended the long way. */
bool bulk_end_clear(struct call *call, size_t count, size_t length);

/*
 * Looks whether the one descriptor that a program is going to wait for has something to read. Only after a read that left
 * something behind, so that the look mostly is the whole wait. False: unknown, the wait itself has to tell.
 */
bool bulk_has_more(struct stream *s);

#endif
