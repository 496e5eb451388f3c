/*
 * twin.c: makes twins and serves the core's messages about them; see twin.h.
 *
 * The worker is a thread that sleeps on an eventfd and on the twins' sockets. One mutex is held while twins are worked on,
 * never while anything is waited for; it comes before tls_mutex.
 */
#include "twin.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/calls.h"
#include "stream/channel.h"
#include "stream/epoll.h"
#include "process/own.h"
#include "stream/socket.h"

/* A handshake may take so long; the core's own time-out is usually shorter. */
#define HANDSHAKE_NS 30000000000LL

/* How much is read at a time, for the core and for the program, and how much of what has been read may wait. */
#define PIECE 4096
#define RECORD 16384 /* what one record holds at most (RFC 8446 §5.1) */
#define STASH_MAX (FRAMING_HEAD_MAX + 65536)

/* Twins looked after at once; a stream has one at a time, two where one stands by. */
#define TWINS 2048

enum { TWIN_NEW, TWIN_SHAKES_HANDS, TWIN_ASKS, TWIN_ASKED, TWIN_READY, TWIN_ARMED, TWIN_FAILED };

static pthread_mutex_t work = PTHREAD_MUTEX_INITIALIZER;
static struct twin *twins;
static unsigned twin_count;
static int event = -1;
static bool ending;  /* the worker is to end */
static bool leaving; /* the process is exiting: libraries are being torn down */

/* Around all work on twins. What their libraries call of their own exported functions is none of the program's. */
static void begin_work(struct tls_frame *frame)
{
    pthread_mutex_lock(&work);
    tls_begin(frame, NULL, NULL, NULL);
}

static void end_work(struct tls_frame *frame)
{
    tls_end(frame);
    pthread_mutex_unlock(&work);
}

static void tell(const struct twin *w, unsigned kind, unsigned flags, int64_t a, const void *data, size_t length)
{
    struct stream *s = stream_slot(w->slot);
    if (s && s->id == w->stream) {
        channel_send(s, kind, flags, w->question, a, (int64_t)w->id, data, length);
    }
}

static void wipe(void *octets, size_t length)
{
    memset(octets, 0, length);
    __asm__ volatile("" : : "r"(octets) : "memory");
}

/* Octets that wait: a request, or what the program is handed first. */
static void drop_kept(uint8_t **octets, size_t *length)
{
    if (*octets) {
        wipe(*octets, *length);
        free(*octets);
    }
    *octets = NULL;
    *length = 0;
}

static bool add_kept(uint8_t **octets, size_t *length, const void *more, size_t count)
{
    size_t had = *length;
    uint8_t *larger = malloc(had + count);
    if (!larger) {
        return false;
    }
    if (had) {
        memcpy(larger, *octets, had);
    }
    memcpy(larger + had, more, count);
    drop_kept(octets, length);
    *octets = larger;
    *length = had + count;
    return true;
}

static void drop_request(struct twin *w)
{
    drop_kept(&w->request, &w->request_length);
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

static void ring(void)
{
    static const uint64_t one = 1;
    REAL(write)(event, &one, sizeof one);
}

/* With `work`. A handle that the program's function has before it stays, for good if that is left by siglongjmp. */
static void destroy(struct twin *w)
{
    take_out(w);
    drop_request(w);
    w->orphaned = w->state == TWIN_ASKED;
    if (!w->orphaned) {
        w->library->kind->destroy(w);
    }
    if (w->fd >= 0) {
        own_remove(w->fd);
        socket_reset(w->fd);
    }
    if (w->stash) {
        wipe(w->stash, w->stash_room);
        free(w->stash);
    }
    drop_kept(&w->first, &w->first_length);
    if (w->orphaned) {
        w->fd = -1;
        w->stash = NULL;
        w->session = NULL;
        return;
    }
    free(w);
}

/* With the twin's `detail`, where the reason has one. */
static void fail(struct twin *w, enum ms_why why)
{
    struct ms_reason reason = { .why = why };
    size_t length = strnlen(w->detail, sizeof reason.detail);
    memcpy(reason.detail, w->detail, length);
    w->state = TWIN_FAILED;
    drop_request(w);
    tell(w, MS_TWIN_FAILED, 0, 0, &reason, offsetof(struct ms_reason, detail) + length);
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

static void be_ready(struct twin *w)
{
    struct tls_facts facts = { .version = "" };
    w->library->kind->facts(w, &facts);
    w->state = TWIN_READY;
    char text[128];
    int n = snprintf(text, sizeof text, "%s%c%s%c%s", facts.version, 0, facts.alpn, 0, w->how) + 1;
    tell(w, MS_TWIN_READY, 0, 0, text, (size_t)n);
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
            fail(w, MS_WHY_JUDGE_LEFT);
            w->state = left ? TWIN_ASKED : TWIN_FAILED;
            destroy(w);
        }
    }
    atomic_store(&t->asked, asks(t));
}

/* What the session has decrypted is shown to those who wait, and no question any more. */
static void unshow_question(const struct tls *t)
{
    struct stream *s = tls_stream(t);
    struct twin *live = atomic_load(&((struct tls *)t)->live);
    if (s && !atomic_load(&((struct tls *)t)->aside.on)) {
        atomic_store(&s->surplus, live && atomic_load(&((struct tls *)t)->plain_fd) < 0 && twin_is_ready(live));
    }
}

void twin_ask(struct tls *t)
{
    struct tls_frame frame;
    int saved = errno;
    begin_work(&frame);
    end_left(t, __builtin_frame_address(0));
    struct twin *w = t->judge_left ? NULL : asking(t);
    if (w) {
        w->state = TWIN_ASKED;
        w->asker = pthread_self();
        w->asker_frame = __builtin_frame_address(0);
    }
    end_work(&frame);
    if (!w) {
        return;
    }
    bool good = w->library->kind->ask(t, w);
    begin_work(&frame);
    if (w->orphaned) {
        w->state = TWIN_FAILED;
        destroy(w);
    } else if (good) {
        be_ready(w);
        ring();
    } else {
        fail(w, MS_WHY_CERT_REFUSED);
    }
    if (tls_find(t->handle) == t) {
        atomic_store(&t->asked, asks(t));
        unshow_question(t);
    }
    end_work(&frame);
    errno = saved;
}

void twin_show_question(struct stream *s)
{
    struct tls *t = atomic_load(&s->tls);
    if (!t || !atomic_load(&t->asked) || atomic_load(&t->aside.on)) {
        return;
    }
    uint32_t had = atomic_exchange(&s->surplus, 1);
    if (atomic_load(&t->asked)) {
        epoll_show_all(s);
    } else {
        atomic_store(&s->surplus, had); /* it has been answered meanwhile */
    }
}

/* The next step of a twin that is not ready yet. */
static void shake_hands(struct twin *w)
{
    const struct tls_kind *kind = w->library->kind;
    if (w->state == TWIN_NEW) {
        pthread_mutex_lock(&tls_mutex);
        enum ms_why why = w->session ? kind->make(w, w->session) : MS_WHY_TLS_ENDED;
        pthread_mutex_unlock(&tls_mutex);
        if (why) {
            fail(w, why);
            return;
        }
        w->state = TWIN_SHAKES_HANDS;
        w->deadline = now_ns() + HANDSHAKE_NS;
    }
    w->failure = MS_WHY_HANDSHAKE;
    enum tls_outcome outcome = kind->handshake(w, &w->wants_write);
    if (outcome == TLS_AGAIN) {
        if (now_ns() > w->deadline) {
            fail(w, MS_WHY_HANDSHAKE_LATE);
        }
        return;
    }
    if (outcome != TLS_DATA) {
        fail(w, w->failure);
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
        fail(w, why);
        return;
    }
    if (w->asks) {
        w->state = TWIN_ASKS;
        atomic_store(&w->session->asked, 1);
        tell(w, MS_TWIN_ASKS, 0, 0, NULL, 0);
        return;
    }
    be_ready(w);
}

/* Finds the end of the answer's head in octets that have just come. */
static void look_for_head(struct twin *w, const uint8_t *octets, size_t count)
{
    while (count && !w->head_done) {
        size_t used;
        enum framing_event event_here = framing_read(&w->answer, octets, count, &used);
        if (event_here == FRAMING_BEGUN) {
            w->answer.method = FRAMING_GET;
        } else if (event_here == FRAMING_ENDED_HEAD) {
            w->head_done = !w->answer.interim;
        } else if (event_here == FRAMING_ENDED && !w->answer.interim) {
            w->head_done = true;
        }
        if (w->answer.phase == MS_BROKEN) {
            w->head_done = true; /* the core sees what came, and says what is wrong with it */
            used = count;
        }
        octets += used;
        count -= used;
        w->clear += used;
    }
}

/* Makes room for a piece at the end of the stash. */
static bool make_room(struct twin *w, size_t piece)
{
    size_t had = w->stash_end - w->stash_start;
    if (w->stash_room - w->stash_end >= piece) {
        return true;
    }
    if (w->stash_start && w->stash_room - had >= piece) {
        memmove(w->stash, w->stash + w->stash_start, had);
        wipe(w->stash + had, w->stash_start);
    } else {
        size_t room = had + 2 * RECORD;
        uint8_t *larger = room <= STASH_MAX ? malloc(room) : NULL;
        if (!larger) {
            return false;
        }
        if (w->stash) {
            memcpy(larger, w->stash + w->stash_start, had);
            wipe(w->stash, w->stash_room);
            free(w->stash);
        }
        w->stash = larger;
        w->stash_room = room;
    }
    w->stash_start = 0;
    w->stash_end = had;
    return true;
}

/* Reads a piece into the stash. */
static enum tls_outcome read_piece(struct twin *w, size_t piece)
{
    if (w->stash_start == w->stash_end) {
        w->stash_start = w->stash_end = 0;
    }
    if (!make_room(w, piece)) {
        return TLS_BAD;
    }
    size_t n = 0;
    enum tls_outcome outcome = w->library->kind->read(w->library, w->handle, w->stash + w->stash_end, piece, &n);
    if (outcome == TLS_DATA) {
        look_for_head(w, w->stash + w->stash_end, n);
        w->stash_end += n;
    }
    return outcome;
}

static size_t stashed(const struct twin *w)
{
    return w->stash_end - w->stash_start;
}

/* n octets of the stash are gone. */
static void consume(struct twin *w, size_t n)
{
    wipe(w->stash + w->stash_start, n);
    w->stash_start += n;
}

/*
 * What comes next in the stash: octets of a head, or content of the answer, `most` at most. What frames the content is
 * gone. 0: there is nothing, or no more of the answer.
 */
static size_t next_octets(struct twin *w, size_t most)
{
    if (w->clear) {
        return w->clear < most ? w->clear : most;
    }
    const uint8_t *start = w->stash + w->stash_start, *at = start;
    size_t n = stashed(w) ? content_next(&w->answer, &at, w->stash + w->stash_end, most) : 0;
    consume(w, (size_t)(at - start));
    return n;
}

/* n of those are gone. */
static void take_octets(struct twin *w, size_t n)
{
    const uint8_t *at = w->stash + w->stash_start;
    if (w->clear) {
        w->clear -= n;
    } else {
        content_take(&w->answer, &at, n);
        w->expected.left -= w->expected.left >= 0 ? (int64_t)n : 0;
    }
    consume(w, n);
}

/* Throws up to n octets of the stash away; returns how many. */
static size_t drop_octets(struct twin *w, size_t n)
{
    size_t gone = 0, part;
    while (gone < n && (part = next_octets(w, n - gone))) {
        take_octets(w, part);
        gone += part;
    }
    return gone;
}

/* All of the answer's content has been taken. */
static bool is_over(struct twin *w)
{
    return w->head_done && !w->clear
        && (w->answer.phase == MS_BROKEN || w->answer.phase == MS_TRAILER || content_is_over(&w->answer));
}

/* Passes a piece of the trailer section on. False when there is none, now. */
static bool tell_trailer(struct twin *w)
{
    const uint8_t *start = w->stash + w->stash_start, *at = start;
    if (!stashed(w) || w->answer.phase != MS_TRAILER) {
        return false;
    }
    size_t n = trailer_take(&w->answer, &at, w->stash + w->stash_end, MS_DATA_MAX);
    tell(w, MS_TWIN_OCTETS, MS_TRAILING, 0, start, n);
    consume(w, n);
    return true;
}

/* Answers what can be answered from the stash. True when the core waits for more. */
static bool answer_core(struct twin *w)
{
    if (w->skip > 0) {
        w->skip -= (int64_t)drop_octets(w, (size_t)w->skip);
        if (!w->skip) {
            tell(w, MS_TWIN_SKIPPED, 0, 0, NULL, 0);
        }
    }
    size_t shown = w->head_done && !w->clear ? stashed(w) : w->clear;
    if (w->peek >= 0 && (int64_t)shown > w->peek) {
        size_t n = shown - (size_t)w->peek;
        n = n < MS_DATA_MAX ? n : MS_DATA_MAX;
        tell(w, MS_TWIN_OCTETS, 0, w->peek, w->stash + w->stash_start + w->peek, n);
        w->peek = -1;
    }
    if (w->take > 0) {
        size_t n = next_octets(w, w->take < MS_DATA_MAX ? (size_t)w->take : MS_DATA_MAX);
        if (n) {
            tell(w, MS_TWIN_OCTETS, 0, 0, w->stash + w->stash_start, n);
            take_octets(w, n);
            w->take = 0;
        } else if (tell_trailer(w)) {
            w->take = 0;
        } else if (is_over(w) && w->answer.phase != MS_TRAILER) {
            tell(w, MS_TWIN_OCTETS, MS_LAST, 0, NULL, 0);
            w->take = 0;
        }
    }
    if (w->skip > 0 && is_over(w)) {
        fail(w, MS_WHY_TWIN_SHORT);
        return false;
    }
    return w->skip > 0 || w->peek >= 0 || w->take > 0;
}

static enum tls_outcome send_request(struct twin *w)
{
    while (w->request_length && !w->holds) {
        size_t n = 0;
        enum tls_outcome outcome = w->library->kind->write(w->library, w->handle, w->request, w->request_length, &n);
        if (outcome != TLS_DATA) {
            return outcome;
        }
        memmove(w->request, w->request + n, w->request_length - n);
        w->request_length -= n;
    }
    return TLS_DATA;
}

/* All that can be done for a twin without waiting. */
static void serve(struct twin *w)
{
    if (w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS) {
        shake_hands(w);
    }
    if (w->state != TWIN_READY) {
        return;
    }
    enum tls_outcome outcome = send_request(w);
    w->wants_write = outcome == TLS_AGAIN;
    if (outcome != TLS_DATA) {
        if (outcome != TLS_AGAIN) {
            fail(w, MS_WHY_TWIN_REQUEST);
        }
        return;
    }
    while (answer_core(w)) {
        outcome = read_piece(w, PIECE);
        if (outcome == TLS_AGAIN) {
            return;
        }
        if (outcome == TLS_DATA) {
            continue;
        }
        if (w->take > 0 && outcome == TLS_END) {
            w->take = 0;
            tell(w, MS_TWIN_OCTETS, MS_LAST, 0, NULL, 0);
            continue;
        }
        fail(w, outcome == TLS_END ? MS_WHY_TWIN_CLOSED : MS_WHY_TWIN_BROKEN);
        return;
    }
}

static bool waits(const struct twin *w)
{
    return w->state == TWIN_NEW || w->state == TWIN_SHAKES_HANDS
        || (w->state == TWIN_READY && ((w->request_length && !w->holds) || w->skip > 0 || w->peek >= 0 || w->take > 0));
}

static void *worker_main(void *unused)
{
    struct tls_frame frame;
    static struct pollfd wait[TWINS + 1];
    (void)unused;
    REAL(syscall)(SYS_prctl, PR_SET_NAME, "midstream-tls", 0, 0, 0);
    begin_work(&frame);
    for (;;) {
        wait[0] = (struct pollfd){ .fd = event, .events = POLLIN };
        nfds_t count = 1;
        for (struct twin *w = twins; w && count <= TWINS; w = w->next) {
            if (waits(w)) {
                wait[count++] = (struct pollfd){ .fd = w->fd, .events = w->wants_write ? POLLOUT : POLLIN };
            }
        }
        end_work(&frame);
        REAL(poll)(wait, count, count > 1 ? 1000 : -1);
        begin_work(&frame);
        if (ending) {
            own_remove(event);
            REAL(syscall)(SYS_close, event);
            event = -1;
            ending = false;
            end_work(&frame);
            return NULL;
        }
        if (leaving) {
            end_work(&frame);
            for (;;) {
                pause();
            }
        }
        uint64_t rung;
        REAL(read)(event, &rung, sizeof rung);
        struct twin *next;
        for (struct twin *w = twins; w; w = next) {
            next = w->next;
            if (waits(w)) {
                serve(w);
            }
        }
    }
    return NULL;
}

/* What the libraries have registered runs after this: they are still whole, and from here on left alone. */
static void at_exit(void)
{
    pthread_mutex_lock(&work);
    leaving = true;
    pthread_mutex_unlock(&work);
}

static bool start_worker(void)
{
    static bool registered;
    pthread_t thread;
    pthread_attr_t attributes;
    if (event >= 0) {
        return true;
    }
    int made = own_lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (made < 0 || pthread_attr_init(&attributes)) {
        return false;
    }
    event = made;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    bool good = !pthread_create(&thread, &attributes, worker_main, NULL); /* the agent's signal mask: all blocked */
    pthread_attr_destroy(&attributes);
    if (!good) {
        own_remove(event);
        REAL(syscall)(SYS_close, event);
        event = -1;
    } else if (!registered) {
        registered = !atexit(at_exit);
    }
    return good;
}

static enum ms_why begin(struct stream *s, const struct ms_message *m, int fd)
{
    if (fd < 0) {
        return MS_WHY_NO_DESCRIPTOR;
    }
    if (twin_count >= TWINS || !start_worker()) {
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
    w->fd = fd;
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

static bool add_request(struct twin *w, const void *data, size_t length, bool holds)
{
    if (!add_kept(&w->request, &w->request_length, data, length)) {
        return false;
    }
    w->holds = holds;
    /* Unless an answer is still to be read, a new one follows. */
    if (!holds && !stashed(w) && is_over(w) && w->answer.phase != MS_TRAILER) {
        framing_reset(&w->answer, false);
        w->head_done = false;
    }
    return true;
}

/* What the program is to be handed first comes before the stash. */
static bool stash_first(struct twin *w)
{
    size_t had = stashed(w), first = w->first_length;
    uint8_t *larger = first ? malloc(first + had) : NULL;
    if (!larger) {
        return !first;
    }
    memcpy(larger, w->first, first);
    if (had) {
        memcpy(larger + first, w->stash + w->stash_start, had);
    }
    if (w->stash) {
        wipe(w->stash, w->stash_room);
        free(w->stash);
    }
    drop_kept(&w->first, &w->first_length);
    w->stash = larger;
    w->stash_start = 0;
    w->stash_end = w->stash_room = first + had;
    return true;
}

void twin_message(struct stream *s, const struct ms_message *m, const void *data, size_t length, int fd)
{
    struct tls_frame frame;
    begin_work(&frame);
    if (m->kind == MS_TWIN) {
        enum ms_why why = begin(s, m, fd);
        if (why) {
            if (fd >= 0) {
                own_remove(fd);
                socket_reset(fd);
            }
            channel_send_why(s, MS_TWIN_FAILED, 0, 0, m->b, why);
        } else {
            ring();
        }
        end_work(&frame);
        return;
    }
    struct twin *w = find(m->stream, (uint64_t)m->b);
    if (w && m->kind == MS_TWIN_CLOSE) {
        destroy(w);
    } else if (w && w->state == TWIN_READY) {
        if (m->kind != MS_TWIN_WRITE && m->kind != MS_TWIN_PUT) {
            /* A question that has been given up is not answered any more. */
            w->question = m->exchange;
            w->peek = -1;
            w->take = w->skip = 0;
        }
        switch (m->kind) {
        case MS_TWIN_WRITE:
            if (!add_request(w, data, length, m->flags & MS_HELD)) {
                fail(w, MS_WHY_NO_MEMORY);
            }
            break;
        case MS_TWIN_PUT:
            if (!add_kept(&w->first, &w->first_length, data, length)) {
                fail(w, MS_WHY_NO_MEMORY);
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
        ring();
    }
    end_work(&frame);
}

struct twin *twin_take(struct stream *s, uint64_t id, int *fd)
{
    struct tls_frame frame;
    begin_work(&frame);
    struct twin *w = find(s->id, id);
    if (w && w->state == TWIN_READY && w->session && send_request(w) == TLS_DATA) {
        w->state = TWIN_ARMED;
        *fd = w->fd;
        w->fd = -1;
    } else {
        w = NULL;
    }
    end_work(&frame);
    return w;
}

void twin_vacate(int fd, int moved)
{
    struct tls_frame frame;
    if (event < 0) {
        return;
    }
    begin_work(&frame);
    if (event == fd) {
        event = moved;
    }
    for (struct twin *w = twins; w; w = w->next) {
        if (w->fd == fd) {
            w->fd = moved;
            if (w->handle) {
                w->library->kind->attach(w, moved);
            }
        }
    }
    end_work(&frame);
}

int64_t twin_drain(struct twin *w)
{
    struct tls_frame frame;
    int64_t drained = 0;
    begin_work(&frame);
    size_t held = w->handle ? stashed(w) + w->library->kind->pending(w->library, w->handle) : 0;
    int64_t left = w->expected.left;
    if (left < 0 && w->head_done && w->answer.phase == MS_LENGTH) {
        left = (int64_t)w->answer.left;
    }
    if (held && !w->clear && left > (int64_t)held) {
        drained = (int64_t)drop_octets(w, held);
        while (w->library->kind->pending(w->library, w->handle)) {
            if (read_piece(w, PIECE) != TLS_DATA) {
                break;
            }
            drained += (int64_t)drop_octets(w, stashed(w));
        }
    }
    end_work(&frame);
    return drained;
}

int64_t twin_skip(struct twin *w, int64_t n)
{
    struct tls_frame frame;
    int64_t gone = 0;
    begin_work(&frame);
    while (w->handle && gone < n) {
        size_t part = drop_octets(w, (size_t)(n - gone));
        if (!part && (is_over(w) || read_piece(w, PIECE) != TLS_DATA)) {
            break;
        }
        gone += (int64_t)part;
    }
    end_work(&frame);
    return gone;
}

void twin_expect(struct twin *w, const struct ms_answer *answer, bool reframes)
{
    w->expected = *answer;
    w->reframes = reframes;
}

enum ms_why twin_fits(struct twin *w, const struct ms_position *position)
{
    struct tls_frame frame;
    begin_work(&frame);
    w->holds = false;
    enum tls_outcome sent = send_request(w);
    bool ready = stash_first(w);
    end_work(&frame);
    if (!ready) {
        return MS_WHY_NO_MEMORY;
    }
    if (sent != TLS_DATA) {
        return MS_WHY_TWIN_STUCK;
    }
    if (!w->reframes) {
        return MS_WHY_NONE;
    }
    if (!w->head_done || w->clear || w->answer.phase == MS_BROKEN) {
        return MS_WHY_OTHER_FRAMING;
    }
    enum ms_why why = reframe_begin(&w->frame, position, &w->answer, &w->expected);
    w->framed = !why;
    return why;
}

size_t twin_serve(struct twin *w, void *buffer, size_t length, bool peek)
{
    size_t n = stashed(w) < length ? stashed(w) : length;
    memcpy(buffer, w->stash + w->stash_start, n);
    if (!peek) {
        wipe(w->stash + w->stash_start, n);
        w->stash_start += n;
    }
    return n;
}

enum tls_outcome twin_read_framed(struct twin *w, struct tls_data *data)
{
    for (;;) {
        struct reframe next = w->frame;
        size_t used, n = reframe(&next, w->stash + w->stash_start, stashed(w), &used, data->buffer, data->length);
        if (!n || !data->peek) {
            w->frame = next;
            consume(w, used);
        }
        if (n) {
            data->done = n;
            return TLS_DATA;
        }
        if (next.wrong) {
            errno = ECONNRESET;
            return TLS_BAD;
        }
        if (next.over) {
            w->framed = next.spent;
            return TLS_END;
        }
        enum tls_outcome outcome = read_piece(w, RECORD);
        if (outcome == TLS_END && reframe_is_short(&w->frame)) {
            errno = ECONNRESET;
            return TLS_BAD;
        }
        if (outcome != TLS_DATA && (outcome != TLS_END || !reframe_ended(&w->frame))) {
            return outcome;
        }
    }
}

/* What a read call would make of what the twin holds decrypted; the rest of the stash follows it. */
static size_t look_ahead(struct twin *w, struct reframe *next, size_t *used)
{
    while (w->library->kind->pending(w->library, w->handle) && stashed(w) + RECORD < STASH_MAX) {
        if (read_piece(w, RECORD) != TLS_DATA) {
            break;
        }
    }
    *next = w->frame;
    return reframe(next, w->stash + w->stash_start, stashed(w), used, NULL, SIZE_MAX);
}

size_t twin_pending(struct twin *w)
{
    if (!w->framed) {
        return stashed(w) + w->library->kind->pending(w->library, w->handle);
    }
    struct reframe next;
    size_t used, n = look_ahead(w, &next, &used);
    return next.over && !next.spent ? n + stashed(w) - used : n;
}

bool twin_is_ready(struct twin *w)
{
    struct reframe next;
    size_t used;
    return twin_pending(w) || (w->framed && !look_ahead(w, &next, &used) && (next.wrong || (next.over && next.spent)));
}

bool twin_is_spent(const struct twin *w)
{
    return w->framed && w->frame.over && w->frame.spent;
}

bool twin_swap(struct twin *w, int fd)
{
    struct tls_frame frame;
    bool surplus = false;
    begin_work(&frame);
    struct tls *t = w->session;
    take_out(w);
    if (!t) {
        destroy(w);
    } else {
        surplus = twin_is_ready(w);
        if (atomic_load(&t->aside.on)) {
            w->library->kind->adopt(w, t->handle);
        } else {
            w->library->kind->attach(w, fd);
        }
        struct twin *old = atomic_load(&t->live);
        atomic_store(&t->live, w);
        t->last = w->handle;
        t->replay = false;
        if (old) {
            destroy(old);
        }
    }
    end_work(&frame);
    return surplus;
}

void twin_free(struct twin *w)
{
    struct tls_frame frame;
    if (w) {
        begin_work(&frame);
        destroy(w);
        end_work(&frame);
    }
}

void twin_session_gone(struct tls *t)
{
    struct tls_frame frame;
    begin_work(&frame);
    struct twin *next;
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->session == t) {
            /* The agent, or the core, lets go of what is left of it. */
            if (w->state == TWIN_ASKED) {
                fail(w, MS_WHY_TLS_ENDED);
                w->state = TWIN_ASKED;
                destroy(w);
                continue;
            }
            w->library->kind->destroy(w);
            w->session = NULL;
            if (w->state != TWIN_ARMED) {
                fail(w, MS_WHY_TLS_ENDED);
            }
        }
    }
    struct twin *live = atomic_exchange(&t->live, NULL);
    if (live) {
        destroy(live);
    }
    end_work(&frame);
}

void twin_stream_gone(uint64_t stream)
{
    struct tls_frame frame;
    begin_work(&frame);
    struct twin *next;
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->stream == stream && w->state != TWIN_ARMED) {
            destroy(w);
        }
    }
    end_work(&frame);
}

void twin_end(void)
{
    struct tls_frame frame;
    struct twin *next;
    begin_work(&frame);
    for (struct twin *w = twins; w; w = next) {
        next = w->next;
        if (w->state != TWIN_ARMED) {
            destroy(w);
        }
    }
    ending = event >= 0;
    if (ending) {
        ring();
    }
    end_work(&frame);
}

void twin_forget(void)
{
    ending = false;
    pthread_mutex_init(&work, NULL);
    /* The parent's: its thread is not here, and its descriptors have been closed with all of Midstream's. */
    twins = NULL;
    twin_count = 0;
    event = -1;
}
