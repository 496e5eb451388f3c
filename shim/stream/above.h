/*
 * above.h: all that stream/ asks of attempts to connect (wait/attempt.c), which stand on it; of TLS it is over.h.
 */
#ifndef MIDSTREAM_STREAM_ABOVE_H
#define MIDSTREAM_STREAM_ABOVE_H

#include "stream.h"

/* Attempts that are followed. While 0, waits cost one load more than without. */
extern _Atomic uint32_t attempts_open;

/*
 * The program sends more without an answer: that is for the connection on which it has sent the rest. Or the descriptor is about to be
 * shared, or left. A handshake is not followed any more, and where nobody has answered the program's own connection is back. Keeps errno.
 */
void attempt_withdraw(struct stream *s);

/* The connection is made, or nobody follows it any more. By a thread inside the gate, or before there is another. */
void attempt_over(struct stream *s);

/* In a forked child: what was kept is the parent's. */
void attempt_forget(struct stream *s);

#endif
