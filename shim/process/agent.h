/*
 * agent.h: the agent is the shim's thread in the program's descriptor table. It receives the core's messages, and carries out hand-overs
 * (handover/); this is how it is called.
 *
 * It is not always there. As long as two threads share a descriptor table, the kernel takes a reference to the file in
 * every system call, which costs a fast download several per cent; so the agent leaves while the program reads at a high
 * rate and nothing is to be done (handover/serve.c). It is started again by the program's next call on a tracked descriptor when the core
 * has sent something (ms_shared.wanted), when a response has ended, or before a call waits for long.
 */
#ifndef MIDSTREAM_AGENT_H
#define MIDSTREAM_AGENT_H

#include "load.h"

/* Starts the agent unless it is there. Keeps errno. Any thread of the program's. */
void agent_ensure(void);

extern _Atomic uint32_t agent_there;

/* A download is so fast that the agent would leave, were there nothing to be waited for. Of no meaning while it is away. */
extern _Atomic bool agent_is_outrun;

/* How long a call may wait without an agent that could wake it. */
#define AGENT_ABSENCE_MS 50

static inline bool agent_is_there(void)
{
    return atomic_load_explicit(&agent_there, memory_order_relaxed);
}

/* For every call on a tracked descriptor: starts the agent if the core has sent something. */
static inline void agent_check(void)
{
    if (atomic_load_explicit(&shared.wanted, memory_order_relaxed) && !agent_is_there()) {
        agent_ensure();
    }
}

/*
 * For reads of other descriptors: the program may be about to wait there, for a key perhaps, in the middle of a
 * download. Starts the agent if it is not there and has not been started so just now.
 */
void agent_before_other_read(void);

/*
 * Counts a read of so many octets; now and then the agent looks whether it is in the way. A large one counts for several, of
 * READ_OCTETS each. Returns their number, wrapping around.
 */
#define READ_OCTETS 32768
uint32_t agent_note_read(size_t octets);
extern _Atomic uint32_t agent_reads;

/* At so many of them it looks. */
#define AGENT_LOOKS 128

/* Has it look at what it waits for. Keeps errno. Any thread. */
void agent_wake(void);

/* eventfd the agent sleeps on; made by load.c. */
extern _Atomic int agent_event;

#endif
