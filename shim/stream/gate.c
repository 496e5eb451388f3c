/* gate.c: the gate of a stream; see gate.h. */
#include "gate.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "caller.h"
#include "process/calls.h"
#include "process/fork.h"
#include "process/agent.h"
#include "over.h"

_Atomic uint32_t gates_closed;
_Atomic uint32_t gate_changes;

bool gate_wait(struct stream *s)
{
    int saved = errno;
    bool open = true;
    uint32_t generation = atomic_load(&s->generation);
    int64_t until = now_ns() + GATE_PATIENCE_NS;
    for (uint32_t state; (state = atomic_load(&s->gate.state));) {
        int64_t left = until - now_ns();
        if (left <= 0) {
            open = atomic_load(&s->generation) != generation;
            break;
        }
        struct timespec wait = { left / 1000000000, left % 1000000000 };
        REAL(syscall)(SYS_futex, &s->gate.state, FUTEX_WAIT_PRIVATE, state, &wait, NULL, 0);
    }
    errno = saved;
    return open;
}

bool gate_enter(struct stream *s)
{
    int fd = s->fd;
    agent_check();
    for (;;) {
        atomic_fetch_add(&s->gate.inside, 1);
        if (!atomic_load(&s->gate.state)) {
            break;
        }
        gate_leave(s);
        if (!gate_wait(s)) {
            atomic_fetch_add(&s->gate.inside, 1);
            if (!atomic_load(&s->gate.changing)) {
                break;
            }
            gate_leave(s);
        }
    }
    if (stream_of(fd) != s) {
        gate_leave(s);
        return false;
    }
    return true;
}

bool gate_enter_again(struct stream *s)
{
    if (!caller_is_here(s)) {
        return gate_enter(s);
    }
    atomic_fetch_add(&s->gate.inside, 1);
    return true;
}

void gate_leave(struct stream *s)
{
    if (atomic_fetch_sub(&s->gate.inside, 1) == 1 && atomic_load(&s->gate.state)) {
        agent_wake();
    }
}

struct stream *gate_enter_fd(int fd)
{
    struct stream *s = stream_of(fd);
    if (s && (tls_own_traffic(s) || tls_is_own_work())) {
        return NULL; /* passed already, by the call that the TLS library works for; or it is the agent who has closed the gate */
    }
    return s && fork_is_mine() && gate_enter_again(s) ? s : NULL;
}

void gate_leave_if(struct stream *s)
{
    if (s) {
        gate_leave(s);
    }
}

static bool close_as(struct stream *s, uint32_t state)
{
    uint32_t open = GATE_OPEN;
    if (!atomic_compare_exchange_strong(&s->gate.state, &open, state)) {
        return false;
    }
    atomic_fetch_add(&gates_closed, 1);
    atomic_fetch_add(&gate_changes, 1);
    return true;
}

bool gate_close(struct stream *s)
{
    return close_as(s, GATE_CLOSED);
}

bool gate_hold(struct stream *s)
{
    return close_as(s, GATE_HELD);
}

void gate_change(struct stream *s, bool changing)
{
    atomic_store(&s->gate.changing, changing);
}

void gate_open(struct stream *s)
{
    gate_change(s, false);
    if (atomic_exchange(&s->gate.state, 0)) {
        atomic_fetch_sub(&gates_closed, 1);
        REAL(syscall)(SYS_futex, &s->gate.state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}
