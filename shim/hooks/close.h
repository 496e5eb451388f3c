/* close.h: what has to be done before anything that closes a descriptor of the program's. */
#ifndef MIDSTREAM_CLOSE_H
#define MIDSTREAM_CLOSE_H

#include <stdbool.h>

/*
 * Waits for a hand-over that is under way and forgets the stream on the descriptor, if there is one. False, with
 * errno EBADF, when the descriptor is Midstream's own.
 */
bool close_prepare(int fd);

#endif
