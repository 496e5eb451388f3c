/* call.c: see call.h. */
#include "call.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/uio.h>

#include "wait/attempt.h"
#include "stream/caller.h"
#include "process/calls.h"
#include "ending.h"
#include "wait/epoll.h"
#include "exchange.h"
#include "process/fork.h"
#include "stream/gate.h"
#include "wait/readiness.h"
#include "recognise.h"
#include "framing/tail.h"
#include "stream/over.h"
#include "unchunk.h"

/* How often a read looks whether another one, which takes chunk framing out, has finished; that one has not if it waits itself. */
#define TURN_TRIES 200

/*
 * How much a read may bring that is to stop there. Content is never longer than the octets that carry it, so this cannot pass the offset;
 * what the program has seen ahead of it, it gets, but none that is not the present socket's to bring.
 */
static size_t limit_of(const struct stream *s, int64_t stop, bool peek)
{
    int64_t left = stop - (int64_t)s->in.content, end = s->present.end - (int64_t)s->in.content;
    int64_t shown = peek ? 0 : (int64_t)atomic_load_explicit(&s->shown, memory_order_relaxed);
    if (left <= 0) {
        return SIZE_MAX;
    }
    left = left < shown ? shown : left;
    return (size_t)(s->present.end != MS_NO_STOP && end < left ? end : left);
}

static size_t begin_reading(struct call *call, struct stream *s, bool peek)
{
    call->stream = s;
    call->own = call->alone = false;
    call->counted = call->unchunks = call->more = false;
    call->error = 0;
    call->token = 0;
    call->id = s->id;
    /* Where the present socket does not bring all of the response, it is followed to that place in any case. */
    bool concerns = atomic_load(&s->stage) != STAGE_LEFT || s->present.end != MS_NO_STOP || atomic_load(&s->pending_error);
    call->tracked = concerns && fork_is_mine() && !tls_is_own_work() && gate_enter(s);
    if (!call->tracked) {
        return SIZE_MAX;
    }
    if (atomic_load(&s->pending_error) && !(call->clear && membio_is_on(s))) {
        call->error = atomic_exchange(&s->pending_error, 0);
    }
    /* Records, not HTTP: the program moves them itself, or its library reads outside the calls that are known. */
    call->counted = !peek && !call->clear && atomic_load(&s->tls);
    call->place = call->counted ? &s->callers.records : peek ? &s->callers.peeking : &s->callers.reading;
    call->token = caller_enter(s, call->place);
    call->unchunks = atomic_load(&s->present.unchunks);
    /* What stands between the chunks is stepped over by one call at a time. */
    for (int tries = 0; !call->token && !call->error && call->place == &s->callers.reading && (call->unchunks || atomic_load(&s->stepping));) {
        if (tries++ == TURN_TRIES) {
            call->token = caller_enter(s, call->place); /* it may have been left for good */
            call->error = call->token ? 0 : EAGAIN; /* the other one waits for octets: there are none */
            break;
        }
        sched_yield();
        call->token = atomic_load(call->place) ? 0 : caller_enter(s, call->place);
    }
    if (call->counted) {
        atomic_fetch_add(&s->callers.receiving, 1);
    } else if (!peek) {
        call->alone = call->token;
        if (!call->alone && call->error != EAGAIN) {
            stream_leave(s, MS_WHY_TWO_READERS);
        }
    }
    call->generation = atomic_load(&s->generation);
    int64_t stop = atomic_load(&s->counters->stop_at);
    if (!call->error && call->unchunks && call->token && unchunk_is_over(s)) {
        call->error = ECONNRESET; /* the server may send nothing more, and leave the connection open */
    }
    if ((int64_t)s->in.content >= s->present.end) {
        call->error = ECONNRESET; /* nobody has brought the rest for as long as the gate waits */
    }
    bool stops = stop != MS_NO_STOP && (atomic_load(&s->armed) || s->present.end != MS_NO_STOP);
    return stops && s->in.phase != MS_IDLE ? limit_of(s, stop, peek) : SIZE_MAX;
}

size_t read_begin(struct call *call, struct stream *s, bool peek)
{
    call->clear = false;
    if (tls_own_traffic(s)) {
        *call = (struct call){ .stream = s, .own = true };
        return SIZE_MAX;
    }
    return begin_reading(call, s, peek);
}

size_t read_begin_in_turn(struct call *call, struct stream *s, int flags)
{
    for (;;) {
        size_t limit = read_begin(call, s, flags & MSG_PEEK);
        if (call->error != EAGAIN || flags & MSG_DONTWAIT || REAL(fcntl)(s->fd, F_GETFL, NULL) & O_NONBLOCK) {
            return limit;
        }
        read_leave(call);
        REAL(poll)(NULL, 0, 2);
    }
}

size_t read_begin_clear(struct call *call, struct stream *s, bool peek)
{
    call->clear = true;
    return begin_reading(call, s, peek);
}

/*
 * The call has returned from the kernel. False when it is not the stream's, or not any more, for it seemed to have been left
 * for good: what it has read or written is not counted. Keeps errno.
 */
static bool resume(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    if (call->tracked && (!call->token || caller_returns(call->place, &call->token))) {
        return true;
    }
    if (call->tracked && result > 0 && s->id == call->id) {
        stream_leave(s, MS_WHY_INTERRUPTED);
    }
    return false;
}

/* Such a call is to be repeated if the agent has woken it. */
static bool was_woken(const struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    if (!call->tracked || s->id != call->id || result > 0 || (result < 0 && !ending_is_fatal(errno))
        || (!atomic_load(&s->gate.state) && atomic_load(&s->generation) == call->generation)) {
        return false;
    }
    gate_wait(s);
    return true;
}

static void leave(const struct call *call)
{
    if (call->token) {
        caller_leave(call->stream, call->place, call->token);
    } else {
        gate_leave(call->stream);
    }
}

/* The read has not found what a wait has promised, which is for one read to find. */
static bool is_denied(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    bool denied = result < 0 && errno == EAGAIN && !call->clear && !call->counted && readiness_is_denied(s);
    if (call->place != &s->callers.peeking || denied) {
        atomic_store_explicit(&s->waits.promised, 0, memory_order_relaxed);
    }
    return denied;
}

static bool finish_read(struct call *call, ssize_t result, bool nothing_asked)
{
    struct stream *s = call->stream;
    int saved = errno;
    bool again = is_denied(call, result), end = result < 0 ? ending_is_fatal(saved) : result == 0 && !nothing_asked;
    if (end) {
        int error = result < 0 ? saved : 0;
        if (atomic_load(&s->gate.state) || atomic_load(&s->generation) != call->generation) {
            again = true; /* the agent woke this call */
        } else if (atomic_load(&s->stage) == STAGE_OPEN && ending_concerns(call, error)) {
            again = ending_hold(s, error);
        }
        if (!again && !result && s->in.phase == MS_CLOSE && !ending_is_due(s) && atomic_load(&s->stage) == STAGE_OPEN) {
            /* It would pass for the end of the content. */
            atomic_store(&s->pending_error, ECONNRESET);
            again = true;
        }
    }
    if (call->counted) {
        atomic_fetch_sub(&s->callers.receiving, 1);
        if (end && !again) {
            membio_end(s);
        }
    }
    leave(call);
    if (again && !end) {
        readiness_await(s->fd);
    } else if (again) {
        /* An unanswered hold: the program sees how its connection ended. */
        if (!gate_wait(s)) {
            gate_open(s);
            again = false;
        }
        if (again && result < 0 && s->id == call->id && atomic_load(&s->generation) == call->generation) {
            /* Nothing has come in its place, and the kernel tells an error once: the next time it says that all is over. */
            int none = 0, told = saved;
            again = atomic_load(&s->stage) == STAGE_OPEN;
            if (again) {
                atomic_compare_exchange_strong(&s->pending_error, &none, saved);
            } else {
                atomic_compare_exchange_strong(&s->pending_error, &told, 0); /* this call tells it */
            }
        }
    }
    errno = saved;
    return again;
}

/* What of the octets that a look ahead has shown is still to be read. */
static void note_shown(const struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    uint64_t shown = atomic_load_explicit(&s->shown, memory_order_relaxed), n = result > 0 ? (uint64_t)result : 0;
    if (call->place == &s->callers.peeking) {
        shown = n > shown ? n : shown;
    } else if (call->alone) {
        shown = n < shown ? shown - n : 0;
    }
    atomic_store_explicit(&s->shown, shown, memory_order_relaxed);
}

/* Events were kept from the program because of unread octets, of which it has read some: those who wait look again. */
static bool shows_hidden(struct stream *s, ssize_t result)
{
    return result > 0 && atomic_load_explicit(&s->waits.hidden, memory_order_relaxed) && atomic_exchange(&s->waits.hidden, 0);
}

bool read_end(struct call *call, ssize_t result, const struct iovec *vector, int count)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return was_woken(call, result);
    }
    if (result > 0) {
        if (attempt_is_greeted(s)) {
            attempt_over(s);
        }
        note_shown(call, result);
    }
    if (result > 0 && call->counted) {
        s->present.seen += (uint64_t)result;
        atomic_store(&s->pending, 0); /* with these octets the program goes to its library */
        if (!membio_is_on(s)) {
            tls_spoil(atomic_load(&s->tls), MS_WHY_TLS_CARRIED);
        }
    }
    if (result > 0 && call->alone) {
        exchange_keep_tail(s);
        size_t left = (size_t)result;
        if (!call->clear) {
            s->present.seen += left;
        }
        for (int i = 0; i < count && left; i++) {
            size_t n = vector[i].iov_len < left ? vector[i].iov_len : left;
            if (s->in.phase != MS_BROKEN && (call->clear || !s->opaque)) {
                exchange_received(s, vector[i].iov_base, n);
            }
            left -= n;
        }
        exchange_note_read(s, (size_t)result);
        exchange_check_stop(s);
    }
    size_t asked = 0;
    for (int i = 0; i < count && result >= 0; i++) {
        asked += vector[i].iov_len;
    }
    atomic_store_explicit(&s->waits.drained, result < (ssize_t)asked && !call->more, memory_order_relaxed);
    if (call->more || shows_hidden(s, result)) {
        epoll_edge(s);
    }
    errno = saved;
    return finish_read(call, result, asked == 0);
}

void read_leave(struct call *call)
{
    int saved = errno;
    errno = EINTR;
    finish_read(call, -1, false);
    errno = saved;
}

bool read_end_unseen(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    atomic_store_explicit(&s->waits.looked, 0, memory_order_relaxed);
    int saved = errno;
    if (!resume(call, result)) {
        return was_woken(call, result);
    }
    if (result > 0 && call->alone) {
        note_shown(call, result);
        s->present.seen += (uint64_t)result;
        if ((s->in.phase == MS_LENGTH && (uint64_t)result <= s->in.left) || (s->in.phase == MS_CLOSE && s->dialogue.state != DIALOGUE_FOLLOWED)
            || (s->in.phase == MS_CHUNK_DATA && (uint64_t)result < s->in.left)) {
            /* Only content: the framing needs no more than its length, and never looks at it. */
            tail_stop(&s->in, s->counters);
            s->in.digest = NULL;
            exchange_received(s, (const uint8_t *)"", (size_t)result);
            exchange_note_read(s, (size_t)result);
            exchange_check_stop(s);
        } else {
            stream_leave(s, MS_WHY_SPLICED_IN);
        }
    }
    if (call->more || shows_hidden(s, result)) {
        epoll_edge(s);
    }
    errno = saved;
    return finish_read(call, result, false);
}

static void begin_writing(struct call *call, struct stream *s)
{
    call->stream = s;
    call->own = false;
    call->tracked = fork_is_mine() && !tls_is_own_work() && gate_enter_again(s);
    if (call->tracked) {
        call->id = s->id;
        call->place = &s->callers.writing;
        call->token = caller_enter(s, call->place);
        call->alone = call->token;
        if (!call->alone) {
            stream_leave(s, MS_WHY_TWO_WRITERS);
        }
    }
}

void write_begin(struct call *call, struct stream *s)
{
    call->clear = false;
    if (attempt_is_open(s)) {
        attempt_withdraw(s);
    }
    if (tls_own_traffic(s)) {
        *call = (struct call){ .stream = s, .own = true };
        return;
    }
    begin_writing(call, s);
}

void write_begin_clear(struct call *call, struct stream *s)
{
    call->clear = true;
    begin_writing(call, s);
}

void write_end(struct call *call, ssize_t result, const struct iovec *vector, int count)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return;
    }
    if (result > 0 && call->alone) {
        size_t left = (size_t)result;
        attempt_over(s);
        for (int i = 0; i < count && left; i++) {
            size_t n = vector[i].iov_len < left ? vector[i].iov_len : left;
            uint32_t stage = atomic_load(&s->stage);
            bool passes = !n || (!call->clear && (atomic_load(&s->tls) || recognise_opaque(s, vector[i].iov_base, n)));
            if (!passes && (stage == STAGE_CANDIDATE || stage == STAGE_HTTP || stage == STAGE_OPEN)) {
                exchange_sent(s, vector[i].iov_base, n);
            }
            left -= n;
        }
        if (!call->clear && membio_is_on(s)) {
            membio_sent(s, (size_t)result);
        } else if (!call->clear && atomic_load(&s->tls)) {
            recognise_carried(s, vector[0].iov_base, (size_t)result < vector[0].iov_len ? (size_t)result : vector[0].iov_len);
        }
    }
    leave(call);
    errno = saved;
}

void write_end_unseen(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return;
    }
    if (result > 0 && call->alone) {
        if (s->out.phase == MS_LENGTH && (uint64_t)result <= s->out.left) {
            exchange_sent(s, (const uint8_t *)"", (size_t)result);
        } else {
            stream_leave(s, MS_WHY_SPLICED_OUT);
        }
    }
    leave(call);
    errno = saved;
}
