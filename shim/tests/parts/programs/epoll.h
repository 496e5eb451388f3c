/* epoll.h: shim/wait/epoll.c with one stream, whose gate is open, and stand-ins for what it calls in all programs. */
#include "wait/epoll.c"
#include "process/withdraw.h"

#include "not_called.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic(uint32_t *) fork_page;
_Atomic uint32_t stream_open_count = 1;
_Atomic uint32_t attempts_open;
_Atomic uint32_t agent_there = 1;
_Atomic uint32_t withdraw_silent;
struct ms_shared shared;

static struct stream stream = { .stage = STAGE_OPEN };

bool gate_enter(struct stream *s)
{
    (void)s;
    return true;
}

void gate_leave(struct stream *s)
{
    (void)s;
}

bool fork_same_process(void)
{
    return true;
}

/* Time stands still: who waits for another thread does so for as long as it takes. */
int64_t now_ns(void)
{
    return 0;
}

int64_t coarse_now_ns(void)
{
    return 0;
}

int64_t attempts_left(void)
{
    return INT64_MAX;
}

struct stream *stream_slot(uint32_t slot)
{
    return slot ? NULL : &stream;
}

uint32_t stream_slots_used(void)
{
    return 1;
}

/* The core guards it. */
bool ending_would_hold(const struct stream *s)
{
    (void)s;
    return true;
}

/* It has no chunks. */
bool unchunk_is_readable(struct stream *s)
{
    (void)s;
    return true;
}

NOT_CALLED(attempts_look)
NOT_CALLED(fork_forget)
NOT_CALLED(fork_watch)
NOT_CALLED(agent_ensure)
NOT_CALLED(stream_new)
