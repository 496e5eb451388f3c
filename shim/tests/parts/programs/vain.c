/*
 * vain.c: a reader that has come to the offset of a hand-over closes the gate just when the agent has given that up: nobody else would
 * open it again, and the next read would wait for as long as the gate waits. Exit status 1 if it stays closed, or if one is opened
 * that the core has still to answer for.
 */
#include "process/clock.c"
#include "stream/gate.c"
#include "process/agent.c"
#include "stream/due.c"
#include "handover/arming.c"
#include "handover/handover.c"
#include "handover/shown.c"

#include "not_called.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
struct ms_shared shared;
_Atomic uint32_t own_users, load_state;

static struct ms_counters counters;
static struct stream stream = { .counters = &counters, .fd = 5, .present = { .fd = -1, .inode = 1 }, .stage = STAGE_OPEN, .next.fd = -1, .kept.fd = -1 };

bool channel_send(const struct stream *s, unsigned kind, unsigned flags, uint64_t exchange, int64_t a, int64_t b, const void *data, size_t length)
{
    return true;
}

void twin_free(struct twin *w)
{
}

void own_drop(int *fd)
{
}

NOT_CALLED(membio_obstacle)
NOT_CALLED(caller_look)
NOT_CALLED(caller_sleeps)
NOT_CALLED(epoll_join)
NOT_CALLED(epoll_know)
NOT_CALLED(epoll_part)
NOT_CALLED(fork_children)
NOT_CALLED(own_close)
NOT_CALLED(own_remove)
NOT_CALLED(stream_leave)
NOT_CALLED(swap)
NOT_CALLED(swap_secure)
NOT_CALLED(twin_drain)
NOT_CALLED(twin_expect)
NOT_CALLED(twin_fits)
NOT_CALLED(twin_skip)
NOT_CALLED(twin_take)

/* How the gate is after the agent has looked, where it had been closed by such a reader. */
static uint32_t looked_at(uint32_t gate, int64_t received, int64_t end)
{
    stream.armed = 1;
    stream.arming = 1;
    stream.present.end = end;
    counters.received = (uint64_t)received;
    handover_refuse(&stream, MS_WHY_CALLED_OFF);
    /* The reader has seen `armed` before. */
    atomic_store(&stream.gate.state, GATE_OPEN);
    if (!close_as(&stream, gate)) {
        abort();
    }
    due_add(&stream);
    handover_look_at_due();
    uint32_t is = atomic_load(&stream.gate.state);
    gate_open(&stream);
    return is;
}

int main(void)
{
    if (looked_at(GATE_CLOSED, 1000, MS_NO_STOP) != GATE_OPEN) {
        fprintf(stderr, "the gate stays closed\n");
        return 1;
    }
    if (looked_at(GATE_HELD, 1000, MS_NO_STOP) != GATE_HELD || looked_at(GATE_CLOSED, 1000, 1000) != GATE_CLOSED) {
        fprintf(stderr, "a program is let through that the core has still to answer\n");
        return 1;
    }
    return 0;
}
