/*
 * attempt.h: connections that are being made while the program waits elsewhere than in connect().
 *
 * A non-blocking connect() that fails because there is no way there fails in poll(), select() or epoll_wait(), seconds
 * later. Those do not show it: a socket of the same kind, on its way over the next interface, takes the place of the
 * program's, which is kept. Where no interface helps, the program's own socket comes back, with its error. A server
 * that has answered, be it with RST, is not asked elsewhere. An attempt that nobody has answered for three seconds, or whose
 * interface has lost its carrier, is dealt with likewise, and goes on where no other interface helps. As long as nothing
 * fails, this costs one system call in connect().
 *
 * A TLS handshake of which nothing has been answered is part of it: where the connection ends, has lost its carrier, or is silent,
 * another one is made over the next interface, or to another server of the name, the ClientHello is sent on it (flight.h), and the first
 * to answer stays.
 */
#ifndef MIDSTREAM_ATTEMPT_H
#define MIDSTREAM_ATTEMPT_H

#include "stream/above.h"

/* connect() has answered EINPROGRESS, to its peer, and the socket is free to go anywhere (fallback.h). */
void attempt_begin(struct stream *s);

/* So it is, and this is the first that the program has sent on it. Within the call. */
void attempt_greeted(struct stream *s, const uint8_t *octets, size_t count);

/* All handshakes are withdrawn: any descriptor may be about to be shared. Keeps errno. */
void attempts_withdraw(void);

/*
 * A wait has shown events on the descriptor. True when they are not the program's to see: the connection has failed, and
 * something else is on the descriptor now. Keeps errno.
 */
bool attempt_shown(struct stream *s, uint32_t events);

/* The same for questions other than a wait: waits itself, some seconds at most, until the connection is made or given up. */
void attempt_settle(struct stream *s);

/* Nanoseconds until an attempt has to be looked at, INT64_MAX for never; and the look. */
int64_t attempts_left(void);
void attempts_look(void);

static inline bool attempt_is_open(const struct stream *s)
{
    return atomic_load_explicit(&s->attempt.state, memory_order_relaxed) != ATTEMPT_NONE;
}

/* It is neither made nor given up. */
static inline bool attempt_is_being_made(const struct stream *s)
{
    uint32_t attempt = atomic_load_explicit(&s->attempt.state, memory_order_relaxed);
    return attempt == ATTEMPT_FIRST || attempt == ATTEMPT_OTHER;
}

/* It is made, and what is waited for is the answer to a ClientHello. */
static inline bool attempt_is_greeted(const struct stream *s)
{
    return attempt_is_open(s) && !attempt_is_being_made(s);
}

static inline bool attempts_are_open(void)
{
    return atomic_load_explicit(&attempts_open, memory_order_relaxed);
}

#endif
