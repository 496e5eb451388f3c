/*
 * hand.h: the hand is the shim's thread in the program's descriptor table.
 *
 * It is not always there. As long as two threads share a descriptor table, the kernel takes a reference to the file in
 * every system call, which costs a fast download several per cent; so the hand leaves while the program reads at a high
 * rate and nothing is to be done. It is started again by the program's next call on a tracked descriptor when the core
 * has sent something (ms_shared.wanted), when a response has ended, or before a call waits for long.
 * It receives the core's messages
 * and carries out hand-overs: closes the gate, drops an overlap, puts the new socket on the descriptor with the old one's
 * attributes, repairs epoll, resets the old connection, opens the gate.
 */
#ifndef MIDSTREAM_HAND_H
#define MIDSTREAM_HAND_H

#include "process/load.h"
#include "stream/stream.h"

/* Starts the hand unless it is there. Keeps errno. Any thread of the program's. */
void hand_ensure(void);

extern _Atomic uint32_t hand_there;

/* A download is so fast that the hand would leave, were there nothing to be waited for. Of no meaning while it is away. */
extern _Atomic bool hand_is_outrun;

/* How long a call may wait without a hand that could wake it. */
#define HAND_ABSENCE_MS 50

static inline bool hand_is_there(void)
{
    return atomic_load_explicit(&hand_there, memory_order_relaxed);
}

/* For every call on a tracked descriptor: starts the hand if the core has sent something. */
static inline void hand_check(void)
{
    if (atomic_load_explicit(&shared.wanted, memory_order_relaxed) && !hand_is_there()) {
        hand_ensure();
    }
}

/*
 * For reads of other descriptors: the program may be about to wait there, for a key perhaps, in the middle of a
 * download. Starts the hand if it is not there and has not been started so just now.
 */
void hand_before_other_read(void);

/*
 * Counts a read of so many octets; now and then the hand looks whether it is in the way. A large one counts for several, of
 * READ_OCTETS each. Returns their number, wrapping around.
 */
#define READ_OCTETS 32768
uint32_t hand_note_read(size_t octets);

/* Tells the hand to look at the stream, whose gate the caller has closed, or at those it waits for. */
void hand_due(struct stream *s);
void hand_wake(void);

/* In a forked child: nothing is under way there. */
void hand_forget(void);

/* eventfd the hand sleeps on; made by load.c. */
extern _Atomic int hand_event;

#endif
