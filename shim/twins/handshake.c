/* handshake.c: a twin shakes hands, and its server is judged, by the program's own function, too, where it has one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wait/epoll.h"
#include "work.h"

/* A handshake may take so long; the core's own time-out is usually shorter. */
#define HANDSHAKE_NS 30000000000LL

static void be_ready(struct twin *w)
{
    struct tls_facts facts = { .version = "" };
    w->library->kind->facts(w, &facts);
    w->state = TWIN_READY;
    char text[128];
    int n = snprintf(text, sizeof text, "%s%c%s%c%s", facts.version, 0, facts.alpn, 0, w->how) + 1;
    twin_tell(w, MS_TWIN_READY, 0, 0, text, (size_t)n);
}

/* The twin of a session that waits for the program's function, NULL: none. With `work`. */
static struct twin *asking(const struct tls *t)
{
    for (struct twin *w = twins; w; w = w->next) {
        if (w->session == t && w->state == TWIN_ASKS) {
            return w;
        }
    }
    return NULL;
}

/* The program's function has still to judge one, or is at it. */
static bool asks(const struct tls *t)
{
    for (struct twin *w = twins; w; w = w->next) {
        if (w->session == t && (w->state == TWIN_ASKS || w->state == TWIN_ASKED)) {
            return true;
        }
    }
    return false;
}

/* A call that has left the program's function, which was called below it, finds its twin still waiting for an answer. */
static void end_left(struct tls *t, const void *here)
{
    struct twin *next;
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        bool left = w->session == t && w->state == TWIN_ASKED && pthread_equal(w->asker, pthread_self())
            && (uintptr_t)w->asker_frame <= (uintptr_t)here;
        if (left) {
            t->judge_left = true;
        }
        if (left || (t->judge_left && w->session == t && w->state == TWIN_ASKS)) {
            twin_fail(w, MS_WHY_JUDGE_LEFT);
            w->state = left ? TWIN_ASKED : TWIN_FAILED;
            twin_destroy(w);
        }
    }
    atomic_store(&t->asked, asks(t));
}

/* What the session has decrypted is shown to those who wait, and no question any more. */
static void unshow_question(const struct tls *t)
{
    struct stream *s = tls_stream(t);
    struct twin *live = atomic_load(&((struct tls *)t)->live);
    if (s && !atomic_load(&((struct tls *)t)->membio.on)) {
        atomic_store(&s->pending, live && atomic_load(&((struct tls *)t)->plain_fd) < 0 && twin_is_ready(live));
    }
}

void twin_ask(struct tls *t)
{
    struct tls_frame frame;
    int saved = errno;
    twin_begin_work(&frame);
    end_left(t, __builtin_frame_address(0));
    struct twin *w = t->judge_left ? NULL : asking(t);
    if (w) {
        w->state = TWIN_ASKED;
        w->asker = pthread_self();
        w->asker_frame = __builtin_frame_address(0);
    }
    twin_end_work(&frame);
    if (!w) {
        return;
    }
    bool good = w->library->kind->ask(t, w);
    twin_begin_work(&frame);
    if (w->orphaned) {
        w->state = TWIN_FAILED;
        twin_destroy(w);
    } else if (good) {
        be_ready(w);
        worker_ring();
    } else {
        twin_fail(w, MS_WHY_CERT_REFUSED);
    }
    if (tls_find(t->handle) == t) {
        atomic_store(&t->asked, asks(t));
        unshow_question(t);
    }
    twin_end_work(&frame);
    errno = saved;
}

void twin_show_question(struct stream *s)
{
    struct tls *t = atomic_load(&s->tls);
    if (!t || !atomic_load(&t->asked) || atomic_load(&t->membio.on)) {
        return;
    }
    uint32_t had = atomic_exchange(&s->pending, 1);
    if (atomic_load(&t->asked)) {
        epoll_show_all(s);
    } else {
        atomic_store(&s->pending, had); /* it has been answered meanwhile */
    }
}

void twin_shake_hands(struct twin *w)
{
    const struct tls_kind *kind = w->library->kind;
    if (w->state == TWIN_NEW) {
        pthread_mutex_lock(&tls_mutex);
        enum ms_why why = w->session ? kind->make(w, w->session) : MS_WHY_TLS_ENDED;
        pthread_mutex_unlock(&tls_mutex);
        if (why) {
            twin_fail(w, why);
            return;
        }
        w->state = TWIN_SHAKES_HANDS;
        w->deadline = now_ns() + HANDSHAKE_NS;
    }
    w->failure = MS_WHY_HANDSHAKE;
    enum tls_outcome outcome = kind->handshake(w, &w->wants_write);
    if (outcome == TLS_AGAIN) {
        if (now_ns() > w->deadline) {
            twin_fail(w, MS_WHY_HANDSHAKE_LATE);
        }
        return;
    }
    if (outcome != TLS_DATA) {
        twin_fail(w, w->failure);
        return;
    }
    w->how = "";
    pthread_mutex_lock(&tls_mutex);
    enum ms_why why = w->session && w->session->captured ? kind->judge(w, &w->how) : MS_WHY_TLS_ENDED;
    pthread_mutex_unlock(&tls_mutex);
    struct tls_facts facts = { .version = "" };
    kind->facts(w, &facts);
    if (!why && *facts.alpn && strcmp(facts.alpn, "http/1.1")) {
        why = MS_WHY_OTHER_PROTOCOL;
    }
    if (why) {
        twin_fail(w, why);
        return;
    }
    if (w->asks) {
        w->state = TWIN_ASKS;
        atomic_store(&w->session->asked, 1);
        twin_tell(w, MS_TWIN_ASKS, 0, 0, NULL, 0);
        return;
    }
    be_ready(w);
}
