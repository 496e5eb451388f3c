/* ending.c: see ending.h. */
#include "ending.h"

#include <errno.h>
#include <poll.h>

#include "stream/caller.h"
#include "process/calls.h"
#include "stream/channel.h"
#include "exchange.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "process/agent.h"
#include "process/load.h"
#include "network/socket.h"
#include "stream/over.h"

bool ending_is_fatal(int error)
{
    return error != EAGAIN && error != EINTR && error != EFAULT && error != EINVAL && error != EBADF && error != ENOMEM
        && error != ENOBUFS && error != ENOTSOCK;
}

bool ending_is_due(const struct stream *s)
{
    return s->in.phase == MS_CLOSE && s->present.end == MS_NO_STOP && !tls_owes(s);
}

/* Whether an orderly end of the connection ends the response as the server meant it: a station's has no end. */
static bool is_meant(const struct stream *s)
{
    return ending_is_due(s) && atomic_load(&s->counters->guard) != MS_GUARD_ENDS;
}

/* Whether the end of the connection is also the end of what the server meant to send. */
static bool is_complete(const struct stream *s, int error)
{
    return s->in.phase == MS_IDLE || (is_meant(s) && !error);
}

/*
 * Whether FIN has come, which a read tells of even if RST has followed it (tcp(7) then keeps EPIPE for the next write). The kernel counts
 * it as an octet. Only where nothing is left to be read.
 */
static bool has_ended_orderly(const struct stream *s)
{
    struct pollfd look = { .fd = s->fd, .events = POLLRDHUP };
    REAL(poll)(&look, 1, 0);
    return !(look.revents & POLLERR) || socket_taken(s->fd) == (int64_t)(s->present.seen_base + s->present.seen) + 1;
}

/* Of an end that a wait has met: the error, if there is one, is still the socket's to tell. */
#define LEFT_ERROR (-1)

bool ending_would_hold(const struct stream *s)
{
    return atomic_load(&s->exchanges.sent) > atomic_load(&s->exchanges.answered) && atomic_load(&s->counters->guard)
        && atomic_load(&s->stage) == STAGE_OPEN;
}

bool ending_hold(struct stream *s, int error)
{
    bool orderly = !error || (error == LEFT_ERROR && has_ended_orderly(s)); /* FIN is how a response without a length ends */
    bool ends = (is_meant(s) && orderly) || membio_is_through(s, orderly);
    bool would = !ends && ending_would_hold(s);
    if (would && atomic_load(&load_state) == LOAD_STARTING) {
        load_wait(); /* for a while, and once: a core that does not come would hold the program for good */
        if (atomic_load(&load_state) != LOAD_UP) {
            atomic_store(&s->counters->guard, 0);
        }
        would = ending_would_hold(s);
    }
    if (would && s->kept.fd < 0) { /* else what has ended is only what the program was to wait on meanwhile */
        s->held_error = error == LEFT_ERROR ? 0 : error; /* before the agent may look for it */
    }
    bool held = would && gate_hold(s);
    if (would && !held) {
        return true; /* the agent has closed it meanwhile: what is there afterwards is looked at anew */
    }
    if (error == LEFT_ERROR) {
        if (!held) {
            return false;
        }
        error = 0;
    }
    if (!held && ending_is_due(s) && !error) {
        s->in.phase = MS_IDLE;
        exchange_publish(s);
        uint64_t number = atomic_load(&s->exchanges.answered) + 1;
        atomic_store(&s->exchanges.answered, number);
        if (!quiet_end(s, number, s->in.content)) {
            channel_send(s, MS_DONE, 0, number, (int64_t)s->in.content, 0, NULL, 0);
        }
    }
    if (held) {
        agent_ensure();
    }
    quiet_tell(s);
    if (!channel_send(s, MS_FAILED, held ? MS_HELD : 0, atomic_load(&s->counters->exchange), error,
                      (int64_t)s->in.content, NULL, 0)
        && held && s->kept.fd < 0) {
        /* Nobody would answer; where the connection itself has been kept, the agent puts it back. */
        atomic_store(&s->pending_error, s->held_error);
        atomic_store(&s->counters->guard, 0);
        gate_open(s);
    }
    return held;
}

bool ending_concerns(const struct call *call, int error)
{
    if (call->counted && membio_is_on(call->stream)) {
        return call->stream->in.phase != MS_CLOSE || error; /* the last octets may still have to be decrypted */
    }
    /* MSG_PEEK meets the end like any read, and some programs do nothing before it has shown them something. */
    bool only = call->alone || (call->place == &call->stream->callers.peeking && !caller_other_reads(call->stream));
    return only || is_complete(call->stream, error);
}

bool ending_met_in_wait(struct stream *s)
{
    uint32_t generation = atomic_load(&s->generation);
    if (atomic_load(&s->stage) != STAGE_OPEN || !atomic_load(&s->counters->guard) || !fork_is_mine()
        || caller_other_reads(s)) {
        return false;
    }
    if (atomic_load(&s->gate.state)) {
        gate_wait(s);
        return true;
    }
    /* Inside, so that the agent leaves alone what is looked at. */
    if (!gate_enter(s)) {
        return false;
    }
    bool moved = atomic_load(&s->generation) != generation, held = !moved && ending_hold(s, LEFT_ERROR);
    gate_leave(s);
    if (!held) {
        return moved;
    }
    if (!gate_wait(s)) {
        gate_open(s);
        return false;
    }
    return true;
}
