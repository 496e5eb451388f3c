/*
 * wait_loop.h: the one loop of poll(), ppoll(), select() and pselect(), which differ in how descriptors are named and shown.
 *
 * A wait that a hand-over has disturbed is repeated with what is left of its time-out, and what the next read will not find is not shown
 * (readiness.h). Each of the calls has its own copy of the loop, in which the functions of its kind are inlined.
 */
#ifndef MIDSTREAM_WAIT_LOOP_H
#define MIDSTREAM_WAIT_LOOP_H

#include "stream/gate.h"
#include "readiness.h"
#include "wait.h"

/* A descriptor of a wait that is a stream's. */
struct wait_member {
    size_t at;             /* where the next one is looked for */
    struct stream *stream; /* NULL: it is no stream's */
    bool reads;            /* octets are waited for */
};

struct wait_kind {
    /* The next descriptor whose gate the wait has to pass. False: there is none. */
    bool (*next)(const void *set, struct wait_member *member);
    /* Waits, or only looks (`at_once`), for what is left. Returns what the program's call would return. */
    int (*sleep)(void *set, struct wait_clock *clock, bool at_once);
    /* Shows what is asked of a member, besides what the kernel has found. How many more the result counts. */
    int (*add)(void *set, const struct wait_member *member);
    /* Shows what the program may see of what the kernel has found; *again as readiness_shown has it. The new result. */
    int (*show)(void *set, int result, bool changed, bool *again);
    /* Nothing may be shown: waits a little for those of which the kernel has shown nothing. -1 as poll(2). */
    int (*rest)(void *set, int64_t left);
    /* The wait is repeated: the program's arguments are as they were. */
    void (*restore)(void *set);
};

#define WAIT_INLINE static inline __attribute__((always_inline))

/* Waits for gates that are closed on the way in. */
WAIT_INLINE void wait_pass_gates(const struct wait_kind *kind, const void *set)
{
    agent_check();
    if (!atomic_load(&gates_closed)) {
        return;
    }
    for (struct wait_member m = { 0 }; kind->next(set, &m);) {
        if (m.stream && atomic_load(&m.stream->gate.state)) {
            gate_wait(m.stream);
        }
    }
}

/* Announces the call to its streams. True: what it asks for is there, where the kernel does not see it. */
WAIT_INLINE bool wait_announce_all(const struct wait_kind *kind, const void *set, struct wait_streams *streams)
{
    bool pending = false;
    streams->count = 0;
    streams->many = streams->changes = false;
    for (struct wait_member m = { 0 }; kind->next(set, &m);) {
        if (m.stream && atomic_load_explicit(&m.stream->stage, memory_order_relaxed) == STAGE_OPEN) {
            wait_announce(streams, m.stream);
        }
        streams->changes = streams->changes || wait_may_change(m.stream);
        pending = pending || (m.stream && m.reads && readiness_is_pending(m.stream));
    }
    return pending;
}

/* Waits for closed gates, and announces the call to the streams whose gates are open then. Returns as wait_announce_all. */
WAIT_INLINE bool wait_settle(const struct wait_kind *kind, const void *set, struct wait_streams *streams)
{
    for (;;) {
        uint32_t changes = atomic_load(&gate_changes);
        wait_pass_gates(kind, set);
        bool pending = wait_announce_all(kind, set, streams);
        if (!wait_is_late(streams)) {
            return pending;
        }
        wait_withdraw(streams);
        if (atomic_load(&gate_changes) == changes) {
            return false; /* one stays closed: whoever sleeps unannounced is not woken by a hand-over */
        }
    }
}

/* Adds to what the kernel has found what it does not see. */
WAIT_INLINE int wait_add_pending(const struct wait_kind *kind, void *set, int result)
{
    for (struct wait_member m = { 0 }; result >= 0 && kind->next(set, &m);) {
        if (m.stream && m.reads && readiness_is_pending(m.stream)) {
            result += kind->add(set, &m);
        }
    }
    return result;
}

/* What the program's call returns, with what is left of the time-out (wait_start) for each repetition. */
WAIT_INLINE int wait_repeatedly(const struct wait_kind *kind, void *set, const struct timespec *timeout)
{
    struct wait_clock clock;
    wait_start(&clock, timeout);
    for (;; kind->restore(set)) {
        uint32_t changes = atomic_load(&gate_changes);
        struct wait_streams streams;
        bool pending = wait_settle(kind, set, &streams), again = false;
        clock.many = streams.many;
        clock.changes = streams.changes;
        int result = kind->sleep(set, &clock, pending);
        wait_withdraw(&streams);
        if (pending) {
            result = wait_add_pending(kind, set, result);
        }
        if (pending ? !result : wait_goes_on(&clock, result)) {
            continue; /* another thread has taken it; or only a piece of the wait is over */
        }
        if (result <= 0) {
            return result;
        }
        result = kind->show(set, result, atomic_load(&gate_changes) != changes, &again);
        if (!again && (result || wait_is_over(&clock))) {
            return result;
        }
        if (!again && kind->rest(set, wait_rest(&clock)) < 0) {
            return -1;
        }
    }
}

#endif
