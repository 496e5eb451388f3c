/*
 * caller.h: which thread is inside a read or a write of a stream, so that a call that was left for good can be undone.
 *
 * A signal handler may leave a blocked call by siglongjmp(), and a thread may be cancelled in it: neither comes back to
 * the hook. A call therefore occupies one of the stream's places with a token that names its thread. Whoever finds a place
 * taken, or waits for the stream to be left, looks whether that thread still is in the call.
 */
#ifndef MIDSTREAM_CALLER_H
#define MIDSTREAM_CALLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stream;

/* The places of a stream: tokens, 0 none. A record is changed by the one that reads (`in`), and by the one that writes (`out`). */
struct callers {
    _Atomic uint64_t reading;
    _Atomic uint64_t writing;
    _Atomic uint64_t peeking;    /* one of those that read without being counted */
    _Atomic uint64_t records;    /* one of those that read records for a TLS session that works on memory */
    _Atomic uint32_t receiving;  /* how many there are of those */
    _Atomic uint32_t last;       /* the thread that has made the last call of them all */
};

/* In a token: the call has returned from the kernel, and is being counted. Left then, its stream cannot be followed. */
#define CALLER_COUNTS (1U << 31)

/*
 * Occupies the place for a call that has passed the gate (gate_enter). Returns its token; 0 when another call is under way
 * there.
 */
uint64_t caller_enter(struct stream *s, _Atomic uint64_t *place);

/* The call has returned from the kernel. False when it has been undone meanwhile: nothing of the stream is its to change. */
static inline bool caller_returns(_Atomic uint64_t *place, uint64_t *token)
{
    /* In one step: a signal handler that reads, or another thread, may undo the call at any time. */
    uint64_t was = *token;
    if (!atomic_compare_exchange_strong_explicit(place, &was, *token | CALLER_COUNTS, memory_order_relaxed, memory_order_relaxed)) {
        return false;
    }
    *token |= CALLER_COUNTS;
    return true;
}

/* Leaves the place, and the gate with it, unless that has been done for the call. */
void caller_leave(struct stream *s, _Atomic uint64_t *place, uint64_t token);

/* Undoes calls that were left for good. Costs some system calls if there are any calls at all. */
void caller_look(struct stream *s);

/* The same for a read of this thread's: it is about to wait for the descriptor instead. */
void caller_look_for_own(struct stream *s);

/* Whether the reads that are under way sleep in the kernel, as far as it tells (proc_pid_syscall(5)). */
bool caller_sleeps(const struct stream *s);

/* Whether this thread is inside a read or a write of it, as far as it can tell: one may have been left for good. */
bool caller_is_here(const struct stream *s);

/* Whether another thread reads, as far as this one can tell: of its own only such a call may be left. */
bool caller_other_reads(const struct stream *s);

/* Whether another thread is in a write, with these marks of the token (CALLER_COUNTS, or 0 for any). */
bool caller_other_writes(const struct stream *s, uint64_t marks);

#endif
