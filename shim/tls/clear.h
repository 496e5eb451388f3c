/*
 * clear.h: a session's calls while its descriptor carries the stream in the clear: one end of a pair of sockets.
 *
 * A quiet pair is a place to wait in. One that the core feeds (tls->fed) brings what the program reads, and takes what it writes: the
 * library, whose own traffic would be taken for that, is not called then.
 */
#ifndef MIDSTREAM_CLEAR_H
#define MIDSTREAM_CLEAR_H

#include "tls.h"

/* A data call. The outcome is the library's to say. */
enum tls_outcome clear_carry(struct tls_data *data, int fd, bool writing);

/* The session is fed. NULL is allowed. */
static inline bool clear_is_fed(const struct tls *t)
{
    return tls_is_clear(t) && atomic_load_explicit((_Atomic bool *)&t->fed, memory_order_relaxed);
}

/* The program ends its side of a session that is fed. */
void clear_end(struct tls *t);

#endif
