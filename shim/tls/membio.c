/* membio.c: see membio.h. */
#include "membio.h"

#include <errno.h>
#include <string.h>

#include "framing/hello.h"
#include "tls.h"
#include "twin.h"

/* Sessions at once whose ClientHello has not been sent yet. */
#define WAITING 64

/* Under tls_mutex. */
static struct {
    struct tls *session;
    uint8_t random[HELLO_RANDOM];
} waiting[WAITING];
static unsigned next;
static _Atomic uint32_t waiting_count;

static void forget(unsigned i)
{
    waiting[i].session = NULL;
    atomic_fetch_sub(&waiting_count, 1);
}

void membio_look(struct tls_library *library, void *handle, struct tls *t)
{
    uint8_t random[HELLO_RANDOM];
    const struct tls_kind *kind = library->kind;
    if (!library->complete || !kind->memory || (t && (t->membio.memory || tls_stream(t)))) {
        return;
    }
    int saved = errno;
    const void *memory = kind->memory(library, handle);
    if (memory && kind->hello(library, handle, random) && (t = tls_get(library, handle))) {
        pthread_mutex_lock(&tls_mutex);
        t->membio.memory = memory;
        atomic_store(&t->membio.sent, (int64_t)kind->memory_taken(library, handle, true));
        unsigned i = next++ % WAITING;
        if (waiting[i].session) {
            forget(i);
        }
        waiting[i].session = t;
        memcpy(waiting[i].random, random, HELLO_RANDOM);
        atomic_fetch_add(&waiting_count, 1);
        pthread_mutex_unlock(&tls_mutex);
    }
    errno = saved;
}

bool membio_match(struct stream *s, const uint8_t *random)
{
    bool matched = false;
    if (!atomic_load_explicit(&waiting_count, memory_order_relaxed)) {
        return false;
    }
    pthread_mutex_lock(&tls_mutex);
    for (unsigned i = 0; i < WAITING && !matched; i++) {
        struct tls *t = waiting[i].session;
        if (t && !memcmp(waiting[i].random, random, HELLO_RANDOM)) {
            matched = true;
            forget(i);
            int64_t origin = (int64_t)t->library->kind->memory_put(t->library, t->handle, false) - (int64_t)s->present.seen;
            atomic_store(&t->membio.origin, origin);
            atomic_store(&t->membio.from, 0);
            atomic_store(&t->membio.on, true);
            tls_tie(t, s);
        }
    }
    pthread_mutex_unlock(&tls_mutex);
    return matched;
}

void membio_gone(struct tls *t)
{
    for (unsigned i = 0; i < WAITING && atomic_load(&waiting_count); i++) {
        if (waiting[i].session == t) {
            forget(i);
        }
    }
}

bool membio_is_on(const struct stream *s)
{
    struct tls *t = atomic_load_explicit(&((struct stream *)s)->tls, memory_order_relaxed);
    return t && atomic_load_explicit(&t->membio.on, memory_order_relaxed);
}

void membio_sent(struct stream *s, size_t count)
{
    struct tls *t = atomic_load(&s->tls);
    if (t) { /* another thread may close the descriptor meanwhile */
        atomic_fetch_add(&t->membio.sent, (int64_t)count);
    }
}

void membio_end(struct stream *s)
{
    struct tls *t = atomic_load(&s->tls);
    if (t && atomic_load(&t->membio.on)) {
        atomic_store(&t->membio.ended, true);
    }
}

bool membio_is_through(const struct stream *s, bool orderly)
{
    struct tls *t = atomic_load(&((struct stream *)s)->tls);
    if (!t || !atomic_load(&t->membio.on)) {
        return false;
    }
    if (atomic_load(&t->membio.ended) || !orderly) {
        return atomic_load(&t->membio.ended);
    }
    /* Records are a little longer than what they hold, so that a response that lacks its last octets passes for whole. */
    struct tls_library *library = t->library;
    struct twin *w = atomic_load(&t->live);
    int64_t ahead = atomic_load(&t->membio.origin) + (int64_t)s->present.seen - (int64_t)library->kind->memory_taken(library, t->handle, false);
    int64_t held = atomic_load(&t->membio.partial) + (int64_t)library->kind->pending(library, w ? w->handle : t->handle)
                   + (w ? (int64_t)(w->stash_end - w->stash_start) : 0);
    return s->in.phase == MS_LENGTH && ahead > 0 && (uint64_t)(ahead + held) >= s->in.left;
}

void membio_skip(struct tls *t)
{
    const struct tls_kind *kind = t->library->kind;
    int64_t from = atomic_load(&t->membio.from), at;
    uint8_t scratch[1024];
    while ((at = (int64_t)kind->memory_taken(t->library, t->handle, false)) < from) {
        size_t n = from - at < (int64_t)sizeof scratch ? (size_t)(from - at) : sizeof scratch;
        if (kind->memory_read(t->library, t->handle, scratch, n) <= 0) {
            break;
        }
    }
}

uint64_t membio_call(struct tls *t)
{
    struct stream *s = tls_stream(t);
    if (s) {
        atomic_store(&s->pending, 0);
    }
    membio_skip(t);
    return t->library->kind->memory_taken(t->library, t->handle, false);
}

void membio_called(struct tls *t, uint64_t before, bool whole)
{
    if (whole) {
        atomic_store(&t->membio.partial, 0);
    } else {
        uint64_t taken = t->library->kind->memory_taken(t->library, t->handle, false) - before;
        atomic_fetch_add(&t->membio.partial, (int64_t)taken);
    }
}

enum ms_why membio_obstacle(const struct stream *s)
{
    struct tls *t = atomic_load(&((struct stream *)s)->tls);
    if (!t || !atomic_load(&t->membio.on)) {
        return MS_WHY_NONE;
    }
    const struct tls_kind *kind = t->library->kind;
    if (atomic_load(&t->membio.ended)) {
        return MS_WHY_TLS_SAW_END;
    }
    if (kind->memory(t->library, t->handle) != t->membio.memory) {
        return MS_WHY_TLS_OTHER_BIO;
    }
    if ((int64_t)kind->memory_put(t->library, t->handle, true) != atomic_load(&t->membio.sent)) {
        return MS_WHY_UNSENT;
    }
    return MS_WHY_NONE;
}

void membio_continue(struct tls *t, const struct stream *s, bool other)
{
    if (atomic_load(&t->membio.on)) {
        atomic_fetch_add(&t->membio.origin, (int64_t)s->present.seen);
        if (other) {
            atomic_store(&t->membio.from, atomic_load(&t->membio.origin));
            atomic_store(&t->membio.partial, 0);
        }
    }
}

size_t membio_fill(struct stream *s, void *buffer, size_t length)
{
    struct tls *t = atomic_load(&s->tls);
    size_t n = length < 5 ? length : 5; /* as long as a record's header */
    if (!t || !atomic_load(&t->membio.on) || s->present.seen || !atomic_exchange(&s->pending, 0)) {
        return 0;
    }
    memset(buffer, 0, n);
    atomic_fetch_add(&t->membio.origin, (int64_t)n);
    atomic_fetch_add(&t->membio.from, (int64_t)n);
    return n;
}

ssize_t membio_receive(struct tls *t, void *buffer, size_t length, bool peek)
{
    const struct tls_kind *kind = t->library->kind;
    ssize_t n = peek ? (ssize_t)kind->memory_look(t->library, t->handle, buffer, length)
                     : kind->memory_read(t->library, t->handle, buffer, length);
    if (n < 0 || (peek && !n)) {
        errno = EAGAIN;
        return -1;
    }
    return n;
}

ssize_t membio_send(struct tls *t, const void *octets, size_t length)
{
    ssize_t n = t->library->kind->memory_write(t->library, t->handle, octets, length);
    if (n <= 0) {
        errno = ENOMEM;
        return -1;
    }
    return n;
}
