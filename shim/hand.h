/*
 * hand.h: the hand is the shim's thread in the program's descriptor table. It receives the core's messages
 * and carries out hand-overs: closes the gate, drops an overlap, puts the new socket on the descriptor with the old one's
 * attributes, repairs epoll, resets the old connection, opens the gate.
 */
#ifndef MIDSTREAM_HAND_H
#define MIDSTREAM_HAND_H

#include "stream.h"

/* The thread's function; `unused` is NULL. */
void *hand_main(void *unused);

/* Tells the hand to look at the stream, whose gate the caller has closed, or at those it waits for. */
void hand_due(struct stream *s);
void hand_wake(void);

/* eventfd the hand sleeps on; made by load.c. */
extern _Atomic int hand_event;

#endif
