/*
 * withdraw.h: Midstream ends its work in the process: what has been moved stays so, what is held is let go, and the core
 * and all of Midstream's threads and descriptors are gone. For calls after which they would be in the program's way, or it in
 * theirs (confine.c). Streams that are there are left alone.
 */
#ifndef MIDSTREAM_WITHDRAW_H
#define MIDSTREAM_WITHDRAW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../cgo/abi.h"

/*
 * Until the next first request, which finds a core anew. Any thread of the program's, outside of the gates. Returns when the
 * threads are gone, or after some seconds. Not where a response comes through the core (relayed): it would be cut off.
 */
void withdraw(void);

/* For good: those that follow are left as well. The reason is told where it can be. */
void withdraw_for_good(enum ms_why why);

/* For good, and no system call is made any more that the program does not make: none may be allowed. Relayed or not. */
void withdraw_silently(void);

/* The last one has been called: nothing is tracked. */
extern _Atomic uint32_t withdraw_silent;

static inline bool withdraw_is_silent(void)
{
    return atomic_load_explicit(&withdraw_silent, memory_order_relaxed);
}

/* Why streams are left from the first request on, or MS_WHY_NONE. */
enum ms_why withdraw_reason(void);

#endif
