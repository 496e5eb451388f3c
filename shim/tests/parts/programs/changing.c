/*
 * changing.c: the agent takes longer over a change than a call has patience. Exit status 1 if the call comes in before the gate is
 * opened, or where it does not come in at a closed gate behind which nothing is changed.
 */
#include "stream/gate.h"

#undef GATE_PATIENCE_NS
#define GATE_PATIENCE_NS 5000000LL

#include "process/clock.c"
#include "stream/gate.c"

#include <pthread.h>

#include "not_called.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t agent_there = 1;
struct ms_shared shared;

static struct stream stream = { .fd = 5, .stage = STAGE_OPEN, .gate = GATE_CLOSED };
static _Atomic uint32_t attempts;
static _Atomic bool is_open;

void agent_wake(void)
{
    atomic_fetch_add(&attempts, 1); /* a call has left the closed gate again */
}

NOT_CALLED(agent_ensure)

static void *open_late(void *unused)
{
    while (atomic_load(&attempts) < 8) {
        sched_yield();
    }
    atomic_store(&is_open, true);
    gate_open(&stream);
    return unused;
}

int main(void)
{
    pthread_t agent;
    atomic_store(&stream_table[5], &stream);
    if (!gate_enter(&stream) || atomic_load(&stream.gate.inside) != 1) {
        fprintf(stderr, "it has not come in where nothing is changed\n");
        return 1;
    }
    gate_leave(&stream);
    atomic_store(&attempts, 0);
    gate_change(&stream, true);
    pthread_create(&agent, NULL, open_late, NULL);
    if (!gate_enter(&stream) || !atomic_load(&is_open)) {
        fprintf(stderr, "it has come in amid the change\n");
        return 1;
    }
    pthread_join(agent, NULL);
    return atomic_load(&stream.gate.changing) || atomic_load(&stream.gate.inside) != 1;
}
