/*
 * twin.c: the twins that there are: how they are made, served the core's messages, put in a session's place and freed; see twin.h and
 * work.h.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "plaintext.h"
#include "process/above.h"
#include "process/calls.h"
#include "process/own.h"
#include "stream/channel.h"
#include "network/socket.h"
#include "work.h"

static pthread_mutex_t work = PTHREAD_MUTEX_INITIALIZER;
struct twin *twins;
static unsigned twin_count;

void twin_begin_work(struct tls_frame *frame)
{
    pthread_mutex_lock(&work);
    tls_begin(frame, NULL, NULL, NULL);
}

void twin_lock(void)
{
    pthread_mutex_lock(&work);
}

void twin_unlock(void)
{
    pthread_mutex_unlock(&work);
}

void twin_end_work(struct tls_frame *frame)
{
    tls_end(frame);
    pthread_mutex_unlock(&work);
}

void twin_tell(const struct twin *w, unsigned kind, unsigned flags, int64_t a, const void *data, size_t length)
{
    struct stream *s = stream_slot(w->slot);
    if (s && s->id == w->stream) {
        channel_send(s, kind, flags, w->question, a, (int64_t)w->id, data, length);
    }
}

static void take_out(struct twin *w)
{
    for (struct twin **at = &twins; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            twin_count--;
            return;
        }
    }
}

void twin_destroy(struct twin *w)
{
    take_out(w);
    plaintext_drop_request(w);
    own_drop(&w->flow);
    w->orphaned = w->state == TWIN_ASKED;
    if (!w->orphaned) {
        w->library->kind->destroy(w);
    }
    if (w->fd >= 0) {
        own_remove(w->fd);
        socket_reset(w->fd);
    }
    plaintext_gone(w);
    if (w->orphaned) {
        w->fd = -1;
        w->session = NULL;
        return;
    }
    free(w);
}

void twin_fail(struct twin *w, enum ms_why why)
{
    struct ms_reason reason = { .why = why };
    size_t length = strnlen(w->detail, sizeof reason.detail);
    memcpy(reason.detail, w->detail, length);
    w->state = TWIN_FAILED;
    plaintext_drop_request(w);
    twin_tell(w, MS_TWIN_FAILED, 0, 0, &reason, offsetof(struct ms_reason, detail) + length);
}

static struct twin *find(uint64_t stream, uint64_t id)
{
    for (struct twin *w = twins; w; w = w->next) {
        if (w->stream == stream && w->id == id && w->state != TWIN_ARMED) {
            return w;
        }
    }
    return NULL;
}

static enum ms_why begin(struct stream *s, const struct ms_message *m, int fd, const void *name, size_t length)
{
    if (fd < 0) {
        return MS_WHY_NO_DESCRIPTOR;
    }
    if (twin_count >= TWINS || !worker_start()) {
        return MS_WHY_TWINS_MANY;
    }
    struct twin *w = calloc(1, sizeof *w);
    if (!w) {
        return MS_WHY_NO_MEMORY;
    }
    pthread_mutex_lock(&tls_mutex);
    struct tls *t = atomic_load(&s->tls);
    if (t && t->captured) {
        w->session = t;
        w->library = t->library;
    }
    pthread_mutex_unlock(&tls_mutex);
    if (!w->session) {
        free(w);
        return MS_WHY_TWIN_NOT_CAPTURED;
    }
    /* A request follows the end of the handshake at once; the program's own choice is copied at the hand-over. */
    int on = 1;
    REAL(setsockopt)(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (length >= sizeof w->name) {
        free(w);
        return MS_WHY_TWIN_OTHER_NAME;
    }
    memcpy(w->name, name, length);
    w->fd = fd;
    w->flow = -1;
    w->slot = m->slot;
    w->stream = m->stream;
    w->id = (uint64_t)m->b;
    w->peek = w->expected.left = -1;
    framing_reset(&w->answer, false);
    w->next = twins;
    twins = w;
    twin_count++;
    return MS_WHY_NONE;
}

void twin_message(struct stream *s, const struct ms_message *m, const void *data, size_t length, int fd)
{
    struct tls_frame frame;
    twin_begin_work(&frame);
    if (m->kind == MS_TWIN) {
        enum ms_why why = begin(s, m, fd, data, length);
        if (why) {
            if (fd >= 0) {
                own_remove(fd);
                socket_reset(fd);
            }
            channel_send_why(s, MS_TWIN_FAILED, 0, 0, m->b, why);
        } else {
            worker_ring();
        }
        twin_end_work(&frame);
        return;
    }
    struct twin *w = find(m->stream, (uint64_t)m->b);
    if (w && m->kind == MS_TWIN_CLOSE) {
        twin_destroy(w);
    } else if (w && w->state == TWIN_READY && m->kind == MS_TWIN_FLOW) {
        flow_begin(w, fd);
        worker_ring();
    } else if (w && w->state == TWIN_READY) {
        if (m->kind != MS_TWIN_WRITE && m->kind != MS_TWIN_PUT) {
            /* A question that has been given up is not answered any more. */
            w->question = m->exchange;
            w->peek = -1;
            w->take = w->skip = 0;
        }
        switch (m->kind) {
        case MS_TWIN_WRITE:
            if (!plaintext_request(w, data, length, m->flags & MS_HELD)) {
                twin_fail(w, MS_WHY_NO_MEMORY);
            }
            break;
        case MS_TWIN_PUT:
            if (!plaintext_add(&w->first, &w->first_length, data, length)) {
                twin_fail(w, MS_WHY_NO_MEMORY);
            }
            break;
        case MS_TWIN_PEEK:
            w->peek = m->a;
            break;
        case MS_TWIN_READ:
            w->take = m->a;
            break;
        case MS_TWIN_SKIP:
            w->skip = m->a;
            break;
        }
        worker_ring();
    }
    if (m->kind == MS_TWIN_FLOW && (!w || w->flow != fd)) {
        own_close(fd);
    }
    twin_end_work(&frame);
}

struct twin *twin_take(struct stream *s, uint64_t id, int *fd)
{
    struct tls_frame frame;
    twin_begin_work(&frame);
    struct twin *w = find(s->id, id);
    if (w && w->state == TWIN_READY && w->session && plaintext_send(w) == TLS_DATA && flow_end(w)) {
        w->state = TWIN_ARMED;
        *fd = w->fd;
        w->fd = -1;
    } else {
        w = NULL;
    }
    twin_end_work(&frame);
    return w;
}

void twin_vacate(int fd, int moved)
{
    struct tls_frame frame;
    if (!worker_is_there()) {
        return;
    }
    twin_begin_work(&frame);
    worker_vacate(fd, moved);
    for (struct twin *w = twins; w; w = w->next) {
        if (w->flow == fd) {
            w->flow = moved;
        }
        if (w->fd == fd) {
            w->fd = moved;
            if (w->handle) {
                w->library->kind->attach(w, moved);
            }
        }
    }
    twin_end_work(&frame);
}

bool twin_swap(struct twin *w, int fd)
{
    struct tls_frame frame;
    bool pending = false;
    twin_begin_work(&frame);
    struct tls *t = w->session;
    take_out(w);
    if (!t) {
        twin_destroy(w);
    } else {
        pending = twin_is_ready(w);
        if (atomic_load(&t->membio.on)) {
            w->library->kind->adopt(w, t->handle);
        } else {
            w->library->kind->attach(w, fd);
        }
        struct twin *old = atomic_load(&t->live);
        atomic_store(&t->live, w);
        t->last = w->handle;
        t->replay = false;
        if (old) {
            twin_destroy(old);
        }
    }
    twin_end_work(&frame);
    return pending;
}

void twin_free(struct twin *w)
{
    struct tls_frame frame;
    if (w) {
        twin_begin_work(&frame);
        twin_destroy(w);
        twin_end_work(&frame);
    }
}

void twin_session_gone(struct tls *t)
{
    struct tls_frame frame;
    twin_begin_work(&frame);
    struct twin *next;
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->session == t) {
            /* The agent, or the core, lets go of what is left of it. */
            if (w->state == TWIN_ASKED) {
                twin_fail(w, MS_WHY_TLS_ENDED);
                w->state = TWIN_ASKED;
                twin_destroy(w);
                continue;
            }
            w->library->kind->destroy(w);
            w->session = NULL;
            if (w->state != TWIN_ARMED) {
                twin_fail(w, MS_WHY_TLS_ENDED);
            }
        }
    }
    struct twin *live = atomic_exchange(&t->live, NULL);
    if (live) {
        twin_destroy(live);
    }
    twin_end_work(&frame);
}

void twin_stream_gone(uint64_t stream)
{
    struct tls_frame frame;
    twin_begin_work(&frame);
    struct twin *next;
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->stream == stream && w->state != TWIN_ARMED) {
            twin_destroy(w);
        }
    }
    twin_end_work(&frame);
}

void twin_end(void)
{
    struct tls_frame frame;
    struct twin *next;
    twin_begin_work(&frame);
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->state != TWIN_ARMED) {
            twin_destroy(w);
        }
    }
    worker_end();
    twin_end_work(&frame);
}

void twin_forget(void)
{
    worker_forget();
    pthread_mutex_init(&work, NULL);
    /* The parent's: its thread is not here, and its descriptors have been closed with all of Midstream's. */
    twins = NULL;
    twin_count = 0;
}
