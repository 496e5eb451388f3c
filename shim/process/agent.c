/* agent.c: see agent.h. */
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "above.h"
#include "calls.h"
#include "clock.h"
#include "own.h"
#include "threads.h"

_Atomic int agent_event = -1;
_Atomic uint32_t agent_there;
_Atomic bool agent_is_outrun;
_Atomic uint32_t agent_reads;

void agent_wake(void)
{
    static const uint64_t one = 1;
    int saved = errno;
    atomic_fetch_add(&own_users, 1);
    REAL(write)(atomic_load(&agent_event), &one, sizeof one);
    atomic_fetch_sub(&own_users, 1);
    errno = saved;
}

uint32_t agent_note_read(size_t octets)
{
    uint32_t before = atomic_load_explicit(&agent_reads, memory_order_relaxed), count = before + 1 + (uint32_t)(octets / READ_OCTETS);
    atomic_store_explicit(&agent_reads, count, memory_order_relaxed);
    if (count / AGENT_LOOKS != before / AGENT_LOOKS && agent_is_there()) {
        agent_wake();
    }
    return count;
}

void agent_ensure(void)
{
    uint32_t absent = 0, state = atomic_load(&load_state);
    /* Without a channel it would sleep for ever: where one is being made, it is started afterwards. */
    if ((state != LOAD_UP && state != LOAD_STARTING) || atomic_load(&agent_event) < 0
        || !atomic_compare_exchange_strong(&agent_there, &absent, 1)) {
        return;
    }
    int saved = errno;
    if (!threads_start(agent_main, NULL, 64 * 1024 + PTHREAD_STACK_MIN)) {
        atomic_store(&agent_there, 0);
    }
    errno = saved;
}

void agent_before_other_read(void)
{
    static _Atomic int64_t last;
    int64_t now = coarse_now_ns();
    if (now - atomic_load(&last) > AGENT_ABSENCE_MS * 1000000LL) {
        atomic_store(&last, now);
        agent_ensure();
    }
}
