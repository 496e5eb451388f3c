/*
 * gate.c: a gate that is opened and closed again at once, as by two hand-overs in a row, lets nobody in while it is closed. Exit
 * status 1 if it does. A signal handler does both, so that it comes between any two instructions of the call that waits.
 */
#include "process/clock.c"
#include "stream/gate.c"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "not_called.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t agent_there = 1;
struct ms_shared shared;

static struct stream stream = { .fd = 5, .stage = STAGE_OPEN };
static _Atomic uint32_t inside_at_closing;
static _Atomic int changes;

void agent_wake(void)
{
}

NOT_CALLED(agent_ensure)

static void change(int unused)
{
    (void)unused;
    atomic_fetch_add(&changes, 1);
    if (atomic_load(&stream.gate.state)) {
        atomic_store(&stream.gate.state, GATE_OPEN);
    } else {
        atomic_store(&inside_at_closing, atomic_load(&stream.gate.inside));
        atomic_store(&stream.gate.state, GATE_CLOSED);
    }
}

int main(void)
{
    struct sigaction action = { .sa_handler = change };
    struct itimerval often = { { 0, 10 }, { 0, 10 } }, never = { 0 };
    atomic_store(&stream_table[5], &stream);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (atomic_load(&changes) < 20000) {
        if (gate_enter(&stream)) {
            if (atomic_load(&stream.gate.state) && !atomic_load(&inside_at_closing)) {
                fprintf(stderr, "a call has come in through the closed gate, after %d changes\n", atomic_load(&changes));
                return 1;
            }
            gate_leave(&stream);
        }
    }
    setitimer(ITIMER_REAL, &never, NULL);
    return 0;
}
