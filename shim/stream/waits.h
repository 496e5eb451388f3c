/*
 * waits.h: what the program's waits have told of a descriptor, and what its reads have found since.
 *
 * Each is a word of its own, which any call on the descriptor may change without a lock: what two at once make of it costs a look more, at
 * the most. Only for `sleepers` the agent waits: a call in poll() or select() has to wake up before
 * something else comes behind the number.
 */
#ifndef MIDSTREAM_WAITS_H
#define MIDSTREAM_WAITS_H

#include <stdatomic.h>
#include <stdint.h>

struct waits {
    _Atomic uint64_t sleepers; /* calls that sleep in poll() or select() on it; above 32 bits, the stream they mean */
    _Atomic uint32_t drained;  /* the last read got less than it asked for: nothing was left */
    _Atomic uint32_t looked;   /* a wait has just found something to read */
    _Atomic uint32_t hidden;   /* a wait has kept an end from the program, for there are unread octets */
    _Atomic uint32_t promised; /* a wait has told of something to read since the last read, in this generation + 1; 0: none */
};

#endif
