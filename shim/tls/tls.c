/* tls.c: the program's TLS sessions and the tracking of what passes them; see tls.h. */
#include "tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "below.h"
#include "call/bulk.h"
#include "clear.h"
#include "stream/caller.h"
#include "process/above.h"
#include "process/calls.h"
#include "process/settings.h"
#include "stream/channel.h"
#include "call/ending.h"
#include "wait/epoll.h"
#include "process/fork.h"
#include "process/load.h"
#include "stream/gate.h"
#include "twin.h"

/* Handles that can be known at once; a power of two. */
#define TABLE 16384

/* A place whose session has gone, in the middle of a run. */
#define GONE 1

_Thread_local struct tls_frame tls_now;
pthread_mutex_t tls_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Read without a lock, changed under tls_mutex. */
static _Atomic uintptr_t handles[TABLE];
static _Atomic(struct tls *) sessions[TABLE];
static _Atomic uint32_t count;

/*
 * Records of sessions that have gone, the oldest first. Another thread, or the agent, may have found one in a stream just before:
 * it looks at what is not a session any more, but is not the allocator's either. Under tls_mutex.
 */
#define RESTING 64
static struct tls *resting, **resting_end = &resting;
static unsigned resting_count;

static _Thread_local bool on_memory;

bool tls_works_on_memory(void)
{
    return on_memory;
}

static uint32_t start_of(const void *handle)
{
    return (uint32_t)(((uintptr_t)handle >> 4) * 0x9E3779B1u) & (TABLE - 1);
}

struct tls *tls_find(const void *handle)
{
    if (!handle || !atomic_load_explicit(&count, memory_order_relaxed)) {
        return NULL;
    }
    for (uint32_t at = start_of(handle), tries = 0; tries < TABLE; at = (at + 1) & (TABLE - 1), tries++) {
        uintptr_t there = atomic_load_explicit(&handles[at], memory_order_acquire);
        if (there == (uintptr_t)handle) {
            return atomic_load_explicit(&sessions[at], memory_order_acquire);
        }
        if (!there) {
            return NULL;
        }
    }
    return NULL;
}

static struct tls *new_record(void)
{
    struct tls *t = resting;
    if (resting_count <= RESTING) {
        return calloc(1, sizeof *t);
    }
    resting = t->next;
    resting_count--;
    memset(t, 0, sizeof *t);
    return t;
}

struct tls *tls_get(struct tls_library *library, void *handle)
{
    struct tls *t = tls_find(handle);
    if (t || !library) {
        return t;
    }
    int saved = errno;
    pthread_mutex_lock(&tls_mutex);
    t = tls_find(handle); /* another thread may have come first */
    bool is_new = !t && atomic_load(&count) < TABLE / 2 && (t = new_record());
    if (is_new) {
        t->handle = t->last = handle;
        t->library = library;
        atomic_store(&t->plain_fd, -1);
        uint32_t at = start_of(handle);
        while (atomic_load(&handles[at]) > GONE) {
            at = (at + 1) & (TABLE - 1);
        }
        atomic_store(&sessions[at], t);
        atomic_store(&handles[at], (uintptr_t)handle);
        atomic_fetch_add(&count, 1);
    }
    pthread_mutex_unlock(&tls_mutex);
    if (is_new) {
        library->kind->begun(t);
    }
    errno = saved;
    return t;
}

/* The record is not used any more, but by whoever is about to find that out. */
static void lay_to_rest(struct tls *t)
{
    pthread_mutex_lock(&tls_mutex);
    t->next = NULL;
    *resting_end = t;
    resting_end = &t->next;
    resting_count++;
    pthread_mutex_unlock(&tls_mutex);
}

static void take_out(const struct tls *t)
{
    uint32_t at = start_of(t->handle);
    while (atomic_load(&handles[at]) != (uintptr_t)t->handle) {
        if (!atomic_load(&handles[at])) {
            return;
        }
        at = (at + 1) & (TABLE - 1);
    }
    atomic_fetch_sub(&count, 1);
    atomic_store(&handles[at], GONE);
    /* At the end of a run it need not be marked, nor those before it. */
    while (atomic_load(&handles[at]) == GONE && !atomic_load(&handles[(at + 1) & (TABLE - 1)])) {
        atomic_store(&handles[at], 0);
        at = (at - 1) & (TABLE - 1);
    }
}

struct stream *tls_stream(const struct tls *t)
{
    struct stream *s = atomic_load_explicit(&((struct tls *)t)->stream, memory_order_acquire);
    return s && s->id == t->stream_id && atomic_load_explicit(&s->tls, memory_order_relaxed) == t ? s : NULL;
}

void tls_part(struct stream *s)
{
    struct tls *t = atomic_exchange(&s->tls, NULL);
    atomic_store(&s->pending, 0);
    if (t) {
        pthread_mutex_lock(&tls_mutex);
        if (atomic_load(&t->stream) == s) {
            atomic_store(&t->stream, NULL);
        }
        pthread_mutex_unlock(&tls_mutex);
    }
}

void tls_gone(struct tls *t)
{
    int saved = errno;
    struct stream *s = tls_stream(t);
    if (s && fork_is_mine() && gate_enter(s)) {
        tls_part(s);
        stream_leave(s, MS_WHY_TLS_ENDED);
        gate_leave(s);
    }
    pthread_mutex_lock(&tls_mutex);
    take_out(t);
    membio_gone(t);
    atomic_store(&t->membio.on, false);
    pthread_mutex_unlock(&tls_mutex);
    twin_session_gone(t);
    t->library->kind->release(t);
    t->captured = t->noted = NULL;
    lay_to_rest(t);
    errno = saved;
}

void tls_forget(void)
{
    pthread_mutex_init(&tls_mutex, NULL);
    tls_library_forget();
    for (uint32_t at = 0; at < TABLE && atomic_load(&count); at++) {
        struct tls *t = atomic_load(&handles[at]) > GONE ? atomic_load(&sessions[at]) : NULL;
        if (t) {
            /* What has been moved stays moved; nothing is tracked any more. */
            atomic_store(&t->stream, NULL);
        }
    }
    twin_forget();
}

void tls_tie(struct tls *t, struct stream *s)
{
    struct stream *other = atomic_load(&t->stream);
    if (other && atomic_load(&other->tls) == t) {
        atomic_store(&other->tls, NULL);
    }
    t->stream_id = s->id;
    atomic_store(&t->stream, s);
    atomic_store(&s->tls, t);
}

bool tls_is_inside(void)
{
    return tls_inside();
}

bool tls_is_own_work(void)
{
    return tls_is_at_work();
}

bool tls_is_plain(const struct tls *t)
{
    return tls_is_own(t) && !t->replay;
}

bool tls_own_traffic(const struct stream *s)
{
    struct tls *t = atomic_load(&((struct stream *)s)->tls);
    if (!t || atomic_load(&t->membio.on)) {
        return false; /* a library that works on memory has none: within its calls, a function of the program's sends and receives */
    }
    /* After a switch of stacks the frame may be another call's; but the call has its place in the stream as well. */
    return (tls_inside() && tls_now.session == t) || caller_is_here(s);
}

int tls_inside_fd(void)
{
    struct tls_frame *frame = tls_inside();
    struct stream *s = frame && frame->session ? tls_stream(frame->session) : NULL;
    return s ? s->fd : -1;
}

bool tls_is_nested(const void *handle, const struct tls *t, const void *caller)
{
    struct tls_frame *frame = tls_inside();
    bool same = frame && (!frame->library || frame->handle == handle || (t && frame->session == t));
    return same && (!frame->library || !caller || tls_is_code(caller));
}

bool tls_own_replay(struct stream *s, ssize_t *result)
{
    struct tls *t = atomic_load(&s->tls);
    if (!t || !t->replay) {
        return false;
    }
    t->replay = false;
    *result = t->replay_error ? -1 : 0;
    if (t->replay_error) {
        errno = t->replay_error;
    }
    return true;
}

/* A library that takes EAGAIN for a reason to try at once gets the end of the file after so many. */
#define KEPT_MAX 2

ssize_t tls_own_result(struct stream *s, ssize_t result)
{
    struct tls *t = atomic_load(&s->tls);
    if (result > 0) {
        s->present.seen += (uint64_t)result;
        return result;
    }
    if (!t || !t->kept.reading || (result < 0 && !ending_is_fatal(errno))) {
        return result;
    }
    int error = result < 0 ? errno : 0;
    bool woken = atomic_load(&s->gate.state) || atomic_load(&s->generation) != t->kept.generation;
    if (!woken && !ending_would_hold(s)) {
        return result;
    }
    if (!woken && !t->kept.count) {
        t->kept.error = error;
    }
    t->kept.failed = t->kept.failed || !woken;
    if (++t->kept.count > KEPT_MAX) {
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

size_t tls_pending(const struct tls *t, size_t own)
{
    struct twin *w = t ? atomic_load(&((struct tls *)t)->live) : NULL;
    if (t && atomic_load(&((struct tls *)t)->plain_fd) >= 0) {
        return 0;
    }
    return w ? twin_pending(w) : own;
}

bool tls_owes(const struct stream *s)
{
    struct tls *t = atomic_load(&((struct stream *)s)->tls);
    struct twin *w = t ? atomic_load(&t->live) : NULL;
    return w && atomic_load(&t->plain_fd) < 0 && w->framed && reframe_is_short(&w->frame);
}

bool tls_is_spent(const struct tls *t)
{
    struct twin *w = t ? atomic_load(&((struct tls *)t)->live) : NULL;
    if (t && atomic_load(&((struct tls *)t)->plain_fd) >= 0) {
        return t->saw_end;
    }
    return w && twin_is_spent(w);
}

void tls_plain(struct tls *t, int fd, bool fed)
{
    atomic_store(&t->fed, fed);
    t->saw_end = false;
    t->gone = 0;
    atomic_store(&t->plain_fd, fd);
}

/*
 * After a read. What has been read ahead is shown to those who wait until it is gone: from then on the library is as far as
 * it would be without a hand-over. Where an answer is reframed, what is left may be what no record has brought.
 * True when those who wait by epoll have to be shown it, once the call has left.
 */
static bool check_pending(struct tls *t, struct stream *s)
{
    struct twin *w = atomic_load(&t->live);
    if (atomic_load(&t->membio.on)) {
        return false; /* whoever feeds a library reads from it until it has nothing */
    }
    bool had = atomic_load_explicit(&s->pending, memory_order_relaxed);
    bool has = w && atomic_load(&t->plain_fd) < 0 && (had || w->framed) && twin_is_ready(w);
    if (has != had) {
        atomic_store(&s->pending, has);
    }
    return has && !had;
}

/* The library's part of a data call. */
static enum tls_outcome call_library(struct tls_data *data, tls_carry *carry)
{
    struct tls_frame before;
    tls_begin(&before, data->library, data->handle, data->t);
    enum tls_outcome outcome = carry(data);
    tls_end(&before);
    return outcome;
}

static enum tls_outcome read_framed(struct tls_data *data)
{
    return twin_read_framed(atomic_load(&data->t->live), data);
}

/* One try of a data call. `serves`: what the twin has read ahead comes first. */
static enum tls_outcome try_once(struct tls_data *data, tls_carry *carry, bool writing, bool serves)
{
    struct tls *t = data->t;
    struct twin *w = t ? atomic_load(&t->live) : NULL;
    bool memory = false;
    uint64_t before = 0;
    data->done = 0;
    if (t) {
        data->handle = t->last = w ? w->handle : t->handle;
        memory = !writing && atomic_load_explicit(&t->membio.on, memory_order_relaxed);
        before = memory ? membio_call(t) : 0;
    }
    if (w && serves && !w->framed && atomic_load(&t->plain_fd) < 0 && w->stash_end > w->stash_start && data->length) {
        data->done = twin_serve(w, data->buffer, data->length, data->peek);
        return TLS_DATA;
    }
    int plain = t ? atomic_load(&t->plain_fd) : -1;
    if (plain >= 0) {
        data->outcome = clear_carry(data, plain, writing);
        data->library->kind->say(data, writing);
        return data->outcome;
    }
    if (t) {
        t->said = 0;
    }
    if (w && writing && *w->name) {
        errno = EPIPE; /* nothing goes to a server of another name: the program does as where its own has ended the connection */
        data->outcome = TLS_BAD;
        data->library->kind->say(data, true);
        return data->outcome;
    }
    if (w && w->framed && !writing) {
        data->outcome = call_library(data, read_framed);
        if (memory) {
            membio_called(t, before, data->outcome == TLS_DATA);
        }
        if (data->outcome != TLS_END || w->framed) {
            data->library->kind->say(data, false);
            return data->outcome;
        }
        return try_once(data, carry, writing, serves); /* the response is over: what follows is as it comes */
    }
    enum tls_outcome outcome = call_library(data, carry);
    if (memory) {
        membio_called(t, before, outcome == TLS_DATA);
    }
    return outcome;
}

/* The only try of a call in the middle of content (bulk.h). What has come is looked at before the call leaves. */
static enum tls_outcome try_amid(struct tls_data *data, tls_carry *carry)
{
    struct tls *t = data->t;
    struct tls_frame before;
    data->done = 0;
    data->handle = t->last = t->handle;
    t->said = 0;
    tls_begin(&before, data->library, t->handle, t);
    enum tls_outcome outcome = carry(data);
    if (outcome == TLS_DATA) {
        int saved = errno;
        t->library->kind->refresh(t);
        errno = saved;
    }
    tls_end(&before);
    return outcome;
}

struct stream *tls_look_below(struct tls_library *library, void *handle, struct tls *t, bool again)
{
    struct tls *tied = below_look(library, handle, t);
    if (!tied && again) {
        membio_look(library, handle, t);
    }
    return tied ? tls_stream(tied) : NULL;
}

/* What a read has come to, for its stream: octets, 0 for an end, or -1 with *error. */
static ssize_t result_of(const struct tls_data *data, const struct tls_kept *kept, int *error)
{
    *error = EAGAIN;
    if (data->outcome == TLS_DATA) {
        return (ssize_t)data->done;
    }
    if (kept->failed) {
        *error = kept->error;
        return kept->error ? -1 : 0;
    }
    if (data->outcome == TLS_BAD) {
        *error = ECONNRESET;
    }
    return data->outcome == TLS_END ? 0 : -1;
}

/* Octets have come. Before the call leaves: the agent may replace the twin from then on. True: those who wait are to be shown more. */
static bool look_after(struct tls *t, struct stream *s)
{
    struct tls_frame before;
    bool show = false;
    tls_begin(&before, t->library, t->handle, t);
    t->library->kind->refresh(t);
    if (atomic_load_explicit(&s->pending, memory_order_relaxed) || atomic_load(&t->live)) {
        show = check_pending(t, s);
    }
    tls_end(&before);
    return show;
}

/* One try of a read on a session with a stream. True: it is to be repeated. */
static bool read_tracked(struct tls_data *data, tls_carry *carry, struct stream *s, size_t wanted)
{
    struct tls *t = data->t;
    struct call call;
    bool amid = !data->peek && bulk_begin_clear(&call, s, t, wanted);
    size_t limit = amid ? SIZE_MAX : read_begin_clear(&call, s, data->peek);
    data->length = wanted < limit ? wanted : limit;
    if (call.error) {
        t->replay = true;
        t->replay_error = call.error;
    }
    bool counts = call.tracked && call.alone;
    struct tls_kept kept = { .reading = counts, .generation = call.generation };
    if (counts) {
        t->kept = kept;
    }
    data->outcome = amid ? try_amid(data, carry) : try_once(data, carry, false, true);
    if (counts) {
        kept = t->kept;
        t->kept.reading = false;
    }
    bool asked = t->kept.asked;
    t->kept.asked = false;
    if (amid && data->outcome == TLS_DATA && bulk_end_clear(&call, data->done, wanted)) {
        return false;
    }
    int saved = errno, error;
    ssize_t result = result_of(data, &kept, &error);
    struct iovec part = { data->buffer, data->length };
    bool show = result > 0 && call.alone && look_after(t, s);
    errno = result < 0 ? error : saved;
    bool again = read_end(&call, result, &part, 1);
    if (show) {
        epoll_show(s);
    }
    errno = saved;
    if (asked && data->outcome == TLS_AGAIN) {
        return true;
    }
    if (kept.count && !kept.failed && data->outcome == TLS_AGAIN) {
        /* It was the agent that woke the call: a program with a blocking socket is not prepared to try again. */
        again = gate_wait(s);
    }
    bool moved = call.tracked && atomic_load(&s->generation) != call.generation;
    if (again && (moved || kept.count || data->outcome == TLS_AGAIN)) {
        data->retry = moved;
        return true;
    }
    if (kept.failed && data->outcome != TLS_DATA) {
        /* Nobody mends it: the library sees it as it came, and says of it what it would have said. */
        t->replay = true;
        t->replay_error = kept.error;
        data->outcome = try_once(data, carry, false, false);
    }
    return false;
}

void tls_read(struct tls_data *data, tls_carry *carry)
{
    struct tls *t = data->t;
    struct stream *s = t ? tls_stream(t) : NULL;
    size_t wanted = data->length;
    do {
        if (t && atomic_load_explicit(&t->asked, memory_order_relaxed) && fork_is_mine()) {
            twin_ask(t);
        }
        if (!s) {
            data->outcome = try_once(data, carry, false, true);
            if (data->outcome == TLS_AGAIN) {
                tls_look_below(data->library, data->handle, t, true); /* the handshake is part of this call */
            }
            return;
        }
    } while (read_tracked(data, carry, s, wanted));
}

void tls_write(struct tls_data *data, tls_carry *carry)
{
    struct tls *t = data->t;
    struct stream *s = t ? tls_stream(t) : NULL;
    struct call call;
    bool known = s;
    if (known) {
        write_begin_clear(&call, s);
    }
    data->outcome = try_once(data, carry, true, false);
    if (!known && (s = tls_look_below(data->library, data->handle, t, data->outcome == TLS_AGAIN))) {
        t = atomic_load(&s->tls); /* the handshake was part of this call */
        write_begin_clear(&call, s);
    }
    on_memory = !s && data->outcome == TLS_DATA && data->done >= 4 && !memcmp(data->buffer, "GET ", 4);
    if (s && t) {
        atomic_store(&t->busy_writing, data->outcome == TLS_AGAIN);
        struct iovec part = { data->buffer, data->length };
        write_end(&call, data->outcome == TLS_DATA ? (ssize_t)data->done : -1, &part, 1);
    }
}

void tls_begin(struct tls_frame *before, struct tls_library *library, void *handle, struct tls *t)
{
    *before = tls_now;
    tls_now = (struct tls_frame){ .at = (uintptr_t)before, .library = library, .handle = handle, .session = t };
}

void tls_end(const struct tls_frame *before)
{
    tls_now = *before;
}

void *tls_enter(struct tls_present *present, struct tls_library *library, struct tls *t, void *handle)
{
    struct stream *s = t && !tls_is_nested(handle, t, NULL) ? tls_stream(t) : NULL;
    present->held = s && fork_is_mine() && gate_enter(s) ? s : NULL;
    tls_begin(&present->before, library, handle, t);
    if (present->held && atomic_load(&t->membio.on)) {
        membio_skip(t);
    }
    struct twin *w = t ? atomic_load(&t->live) : NULL;
    return tls_now.handle = w ? w->handle : handle;
}

void *tls_enter_to_look(struct tls_present *present, struct tls_library *library, struct tls *t, void *handle)
{
    struct stream *s = t ? tls_stream(t) : NULL;
    if (!t || !tls_is_own(t) || (s && atomic_load(&s->gate.state))) {
        return tls_enter(present, library, t, handle);
    }
    present->held = NULL;
    tls_begin(&present->before, library, handle, t);
    return handle;
}

void tls_leave(struct tls_present *present)
{
    int saved = errno;
    tls_end(&present->before);
    gate_leave_if(present->held);
    errno = saved;
}

void tls_spoil(struct tls *t, enum ms_why why)
{
    if (t) {
        struct stream *s = tls_stream(t);
        atomic_store(&t->spoilt, why);
        if (s && atomic_load(&s->stage) == STAGE_OPEN) {
            stream_leave(s, why);
        }
    }
}

void tls_half_closed(struct tls *t)
{
    struct stream *s = t ? tls_stream(t) : NULL;
    if (s && atomic_load(&s->exchanges.sent) > atomic_load(&s->exchanges.answered)) {
        tls_spoil(t, MS_WHY_TLS_HALF_CLOSED);
    }
}

static size_t append(char *text, size_t at, size_t room, const char *word)
{
    size_t n = strlen(word) + 1;
    if (at + n > room) {
        return at;
    }
    memcpy(text + at, word, n);
    return at + n;
}

void tls_opened(struct stream *s)
{
    struct tls *t = atomic_load(&s->tls);
    struct tls_facts facts = { .version = "" };
    struct tls_frame before;
    char text[1024];
    if (!t && s->host[0]) {
        size_t n = append(text, 0, sizeof text, "not known");
        n = append(text, n, sizeof text, "");
        n = append(text, n, sizeof text, "");
        n = append(text, n, sizeof text, s->host);
        n = append(text, n, sizeof text, s->tunnel);
        channel_send(s, MS_TLS, 0, 0, 0, 0, text, n);
    }
    if (!t) {
        return;
    }
    tls_begin(&before, t->library, t->handle, t);
    t->library->kind->describe(t, &facts);
    size_t n = append(text, 0, sizeof text, t->library->name);
    n = append(text, n, sizeof text, facts.version);
    n = append(text, n, sizeof text, facts.alpn);
    n = append(text, n, sizeof text, facts.name);
    n = append(text, n, sizeof text, s->tunnel);
    pthread_mutex_lock(&tls_mutex);
    if (!t->captured) {
        t->library->kind->capture(t);
    }
    pthread_mutex_unlock(&tls_mutex);
    enum ms_needs needs = t->captured ? t->library->kind->needs(t) : MS_NEEDS_NAME;
    bool clear = t->library->kind->clear && !membio_is_on(s) && t->library->kind->clear(t);
    tls_end(&before);
    channel_send(s, MS_TLS, clear ? MS_CLEAR : 0, 0, t->captured != NULL, needs, text, n);
    enum ms_why spoilt = atomic_load(&t->spoilt);
    if (spoilt) {
        stream_leave(s, spoilt);
    }
}

bool tls_goes_by_issuer(void)
{
    return atomic_load_explicit(&shared.by_issuer, memory_order_relaxed);
}

bool tls_without_h2(const unsigned char *list, size_t length, unsigned char *kept, size_t *kept_length)
{
    bool has_h2 = false, has_http1 = false;
    size_t at = 0, out = 0;
    while (at < length) {
        size_t n = list[at] + 1u;
        if (at + n > length) {
            return false;
        }
        if (n == 3 && !memcmp(list + at + 1, "h2", 2)) {
            has_h2 = true;
        } else {
            has_http1 = has_http1 || (n == 9 && !memcmp(list + at + 1, "http/1.1", 8));
            memcpy(kept + out, list + at, n);
            out += n;
        }
        at += n;
    }
    *kept_length = out;
    return has_h2 && has_http1 && !settings_keep_http2();
}
