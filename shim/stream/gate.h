/*
 * gate.h: holds the program's calls on a descriptor while the agent changes what is behind it.
 *
 * A call announces itself (inside), then looks at the gate; the agent closes the gate, then waits until nobody is
 * inside. Both are sequentially consistent, so one of the two always sees the other. A call that finds the gate closed for
 * GATE_PATIENCE goes on, unless the agent is in the middle of the change itself (gate_change): that waits for nothing, but takes its
 * time where a machine is overloaded or asleep, and a call that came in would find half of each connection.
 */
#ifndef MIDSTREAM_GATE_H
#define MIDSTREAM_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stream;

struct gate {
    _Atomic uint32_t state;  /* enum gate_state; a futex */
    _Atomic bool changing;   /* no call goes on through the closed gate (gate_change) */
    _Atomic uint32_t inside; /* calls on the descriptor that are under way */
};

#define GATE_PATIENCE_NS 3000000000LL

enum gate_state {
    GATE_OPEN,
    GATE_CLOSED, /* the agent changes what is behind the descriptor, or is about to */
    GATE_HELD,   /* the connection has ended: closed until the core has answered that */
};

/* Announces a call; waits at the gate. False when the descriptor is no longer this stream's. */
bool gate_enter(struct stream *s);
void gate_leave(struct stream *s);

/* The same for a call that may come from within another one of this thread's, which has passed the gate: it does not wait there. */
bool gate_enter_again(struct stream *s);

/* The same for calls that are not counted otherwise: NULL when the descriptor is not tracked. */
struct stream *gate_enter_fd(int fd);
void gate_leave_if(struct stream *s);

/*
 * By the agent, by the reader that has reached the offset (exchange_check_stop), or for a turn of a connection attempt (attempt.c), which
 * opens it again by itself. False when it was closed already.
 */
bool gate_close(struct stream *s);
void gate_open(struct stream *s);

/*
 * By the agent, around the change: from then on, until the gate is opened, nobody comes in. Whoever has come in before is still to be
 * looked for.
 */
void gate_change(struct stream *s, bool changing);

/* By whoever meets the end of the connection. False when the gate was closed already. */
bool gate_hold(struct stream *s);

/*
 * Waits, bounded, until the gate is open. False: it never was. Whoever has to know that does not look at the gate afterwards: it may
 * have been closed again, for something else.
 */
bool gate_wait(struct stream *s);

/* Gates closed at the moment, and how often one has been closed: waits compare it before and after. */
extern _Atomic uint32_t gates_closed;
extern _Atomic uint32_t gate_changes;

#endif
