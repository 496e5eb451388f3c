/*
 * call.h: a call of the program's on a tracked descriptor, from its passing the gate to the counting of what it carried.
 *
 * A record is changed by the thread inside a call on the descriptor: `out` by the writer, `in` by the reader, of which there is one each
 * at a time (caller.h).
 */
#ifndef MIDSTREAM_CALL_H
#define MIDSTREAM_CALL_H

#include "stream/stream.h"

struct call {
    struct stream *stream;
    uint64_t id;     /* of the stream */
    uint64_t token;  /* of the call, in its place; 0 none */
    _Atomic uint64_t *place;
    uint32_t generation;
    bool alone;  /* this call counts what it reads */
    bool tracked;
    bool clear;  /* the octets are those of a TLS session, not the descriptor's */
    bool counted; /* records of a TLS session, read outside its library's calls */
    bool own;    /* a TLS library's own traffic: only counted */
    bool unchunks; /* it reads chunks (unchunk.h) */
    bool more;   /* it gets less than it has asked for although there may be more */
    int error;   /* after read_begin: to be returned instead of reading, 0 none */
};

struct iovec;

/*
 * Waits at the gate, and returns how many octets may be asked for at most: the program's buffers are not looked at before the kernel has
 * done so.
 */
size_t read_begin(struct call *call, struct stream *s, bool peek);
size_t read_begin_in_turn(struct call *call, struct stream *s, int flags); /* waits for another read, where only one can be */

/*
 * Counts what came into the buffers of `vector`. True when the call is to be repeated, because another socket is behind the descriptor
 * now.
 */
bool read_end(struct call *call, ssize_t result, const struct iovec *vector, int count);
void read_leave(struct call *call); /* in the place of read_end: nothing was read */
void write_begin(struct call *call, struct stream *s);
void write_end(struct call *call, ssize_t result, const struct iovec *vector, int count);

/* The same for the octets of a TLS session, which are HTTP where the descriptor's are not. */
size_t read_begin_clear(struct call *call, struct stream *s, bool peek);
void write_begin_clear(struct call *call, struct stream *s);

/* Octets that went in or out without passing a buffer (sendfile, splice). */
bool read_end_unseen(struct call *call, ssize_t result);
void write_end_unseen(struct call *call, ssize_t result);

#endif
