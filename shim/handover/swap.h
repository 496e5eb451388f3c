/* swap.h: another socket is put on the program's descriptor, which is the hand-over itself. By the agent, with the gate closed. */
#ifndef MIDSTREAM_SWAP_H
#define MIDSTREAM_SWAP_H

#include "stream/stream.h"

/* What is needed afterwards, while it can still be done without. False, with nothing done: there is no descriptor left. */
bool swap_secure(struct stream *s);

/* Everything has left, the overlap is dropped: the descriptor gets its new socket, with the old one's attributes. Opens the gate. */
void swap(struct stream *s);

#endif
