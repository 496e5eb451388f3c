/*
 * unchunk.h: chunks on a connection (RFC 9112 §7.1) whose program reads content with no framing in between.
 *
 * Where a relay would do nothing for long but take the framing out of chunked content, the connection itself is put on the
 * descriptor, and that is done here, in the program's own buffer, after each of its reads. Such a connection is
 * always bounded: what comes before and behind is the relay's. The octets up to the bound are content of a known
 * length, so framing never ends what the program reads.
 */
#ifndef MIDSTREAM_UNCHUNK_H
#define MIDSTREAM_UNCHUNK_H

#include "call.h"
#include "wait/above.h"

/* The connection brings chunks; its next octet is one of `left` octets of a chunk's data. */
void unchunk_begin(struct connection *c, uint64_t left);

/* Octets of the present chunk's data that have still to be read; 0 also if there are no chunks. */
uint64_t unchunk_left(const struct stream *s);

/* Content has been promised, and none will come. */
bool unchunk_is_over(const struct stream *s);

/*
 * Takes framing out of octets that the call has read. Returns how many octets of content are left in the buffer, which may be 0;
 * -1 with ECONNRESET if what has been read cannot be, or if the content has ended.
 */
ssize_t unchunk(struct call *call, void *octets, ssize_t count);

/*
 * For a call that does not get the octets in a buffer where they could be moved (MSG_PEEK, MSG_TRUNC, splice): steps over
 * framing, as the call would wait for octets, and shortens *allowed to what is content. True: the call is to return *result,
 * with errno. False at once where there are no chunks.
 */
bool unchunk_step(struct call *call, int flags, size_t *allowed, ssize_t *result);

/* Such a call has taken octets, unless it was a look ahead. */
void unchunk_took(struct call *call, ssize_t result);

/*
 * The program is about to have the connection where nobody takes framing out: behind another descriptor, in a child, in stdio.
 * The stretch ends here, and the relay comes back first. Does nothing where another thread reads, or framing does not come.
 */
void unchunk_end(struct stream *s);

#endif
