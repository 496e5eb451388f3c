/* quiet.c: see quiet.h. */
#include "quiet.h"

#include <sched.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "process/calls.h"
#include "channel.h"
#include "process/load.h"
#include "stream.h"

enum quiet_state {
    QUIET_NONE,
    QUIET_KEPT,
    QUIET_BUSY, /* a thread changes it */
};

/* Whoever has it for so long was left in the middle, or is stopped. */
#define BUSY_NS 100000000LL

/* Returns what there is, and keeps other threads from it until give(). */
static uint32_t take(struct quiet *q)
{
    int64_t until = 0;
    for (;;) {
        uint32_t state = atomic_exchange(&q->state, QUIET_BUSY);
        if (state != QUIET_BUSY) {
            return state;
        }
        int64_t now = now_ns();
        until = until ? until : now + BUSY_NS;
        if (now > until) {
            return QUIET_NONE;
        }
        sched_yield();
    }
}

static void give(struct quiet *q, uint32_t state)
{
    atomic_store(&q->state, state);
}

static void publish(struct stream *s)
{
    struct quiet *q = &s->quiet;
    atomic_store(&s->counters->quiet, q->number << 1 | q->over);
}

void quiet_reset(struct stream *s)
{
    struct quiet *q = &s->quiet;
    if (take(q) == QUIET_KEPT && !q->over) {
        explicit_bzero(q->octets, q->request);
    }
    atomic_store(&s->counters->quiet, 0);
    give(q, QUIET_NONE);
}

/* The fields whose values nobody is to find once the exchange is over: those of core/http1/conceal.go. */
static const char *const secrets[] = { "Cookie:", "Authorization:", "Proxy-Authorization:", NULL };

static bool is_secret(const char *line, size_t length)
{
    for (const char *const *name = secrets; *name; name++) {
        size_t n = strlen(*name);
        if (length >= n && !strncasecmp(line, *name, n)) {
            return true;
        }
    }
    return false;
}

/* Calls each with the lines of the request's head that hold a secret; true as soon as that has returned true. */
static bool any_secret(struct quiet *q, bool (*each)(char *value, size_t length))
{
    char *at = (char *)q->octets, *end = at + q->request;
    bool inside = false;
    while (at < end) {
        char *next = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((next ? next : end) - at);
        bool folded = *at == ' ' || *at == '\t';
        inside = folded ? inside : is_secret(at, length);
        char *colon = inside && !folded ? memchr(at, ':', length) : NULL;
        if (inside && each(colon ? colon + 1 : at, length - (size_t)((colon ? colon + 1 : at) - at))) {
            return true;
        }
        at += length + 1;
    }
    return false;
}

/* Whether it authenticates the connection (RFC 4559 §6): of that the core has to know for as long as there is one. */
static bool binds(char *value, size_t length)
{
    for (; length && (*value == ' ' || *value == '\t'); length--) {
        value++;
    }
    return (length >= 4 && !strncasecmp(value, "NTLM", 4)) || (length >= 9 && !strncasecmp(value, "Negotiate", 9));
}

/* Whether the response's head sends the program to another URL (RFC 9110 §15.4): that is asked again when the stream has moved. */
static bool redirects(const struct quiet *q)
{
    static const char *const statuses[] = { "301", "302", "303", "307", "308", NULL };
    const char *status = (const char *)q->octets + q->request + sizeof "HTTP/1.1";
    for (const char *const *one = statuses; *one && q->response >= sizeof "HTTP/1.1 301"; one++) {
        if (!memcmp(status, *one, 3)) {
            return true;
        }
    }
    return false;
}

static bool conceal(char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (value[i] != ' ' && value[i] != '\t' && value[i] != '\r') {
            value[i] = '*';
        }
    }
    return false;
}

static void tell(struct stream *s)
{
    struct quiet *q = &s->quiet;
    bool good = channel_send_head(s, MS_REQUEST, q->request_whole ? MS_LAST : 0, q->number, 0, 0, q->octets, q->request);
    if (good && q->response) {
        good = channel_send_head(s, MS_RESPONSE, q->response_whole ? MS_LAST : 0, q->number, q->phase, q->length, q->octets + q->request, q->response);
    }
    if (good && q->over) {
        good = channel_send(s, MS_DONE, 0, q->number, q->received, 0, NULL, 0);
    }
    explicit_bzero(q->octets, (size_t)q->request + q->response);
    atomic_store(&s->counters->quiet, 0);
    if (!good) {
        give(q, QUIET_NONE);
        stream_leave(s, MS_WHY_CORE_BEHIND);
    }
}

static bool has_room(struct quiet *q)
{
    if (!q->octets) {
        void *memory = mmap(NULL, QUIET_OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        q->octets = memory == MAP_FAILED ? NULL : memory;
    }
    return q->octets;
}

/* A stream that is being moved, or is relayed, is followed message by message. */
static bool may_be_quiet(const struct stream *s, uint64_t number)
{
    return atomic_load(&s->stage) == STAGE_OPEN && number > s->exchanges.first && number == atomic_load(&s->exchanges.answered) + 1 && !atomic_load(&s->armed)
        && s->present.end == MS_NO_STOP && s->kept.fd < 0 && !s->present.relayed && !atomic_load(&s->resuming);
}

void quiet_begin(struct stream *s, uint64_t number)
{
    struct quiet *q = &s->quiet;
    if (!atomic_load(&shared.looks) && atomic_load(&q->state) == QUIET_NONE) {
        return;
    }
    uint32_t state = take(q);
    if (state == QUIET_KEPT && !q->over) {
        tell(s); /* another one, before that has been answered */
    }
    state = QUIET_NONE;
    atomic_store(&s->counters->quiet, 0);
    if (atomic_load(&shared.looks) && may_be_quiet(s, number) && has_room(q)) {
        q->number = number;
        q->request = q->response = 0;
        q->request_whole = q->response_whole = q->over = false;
        publish(s);
        /* The core says first that it looks no more, and looks then for the last time. */
        state = atomic_load(&shared.looks) ? QUIET_KEPT : QUIET_NONE;
        if (state == QUIET_NONE) {
            atomic_store(&s->counters->quiet, 0);
        }
    }
    give(q, state);
}

bool quiet_keep(struct stream *s, unsigned kind, unsigned flags, uint64_t number, uint32_t phase, int64_t length, const void *octets, size_t count)
{
    struct quiet *q = &s->quiet;
    if (atomic_load(&q->state) == QUIET_NONE) {
        return false;
    }
    uint32_t state = take(q);
    bool kept = state == QUIET_KEPT && q->number == number && !q->over;
    bool fits = kept && (size_t)q->request + q->response + count <= QUIET_OCTETS && !(flags & MS_INTERIM)
        && (kind == MS_REQUEST ? !q->response : q->request_whole);
    if (fits) {
        memcpy(q->octets + q->request + q->response, octets, count);
        if (kind == MS_REQUEST) {
            q->request += (uint16_t)count;
            q->request_whole = flags & MS_LAST;
            fits = !q->request_whole || !any_secret(q, binds);
        } else {
            q->response += (uint16_t)count;
            q->response_whole = flags & MS_LAST;
            q->phase = phase;
            q->length = length;
            fits = !q->response_whole || !redirects(q);
        }
        if (!fits) {
            tell(s);
            give(q, QUIET_NONE);
            return true; /* it is told with the rest */
        }
    } else if (kept) {
        tell(s);
        state = QUIET_NONE;
    }
    give(q, state);
    return fits;
}

bool quiet_end(struct stream *s, uint64_t number, uint64_t received)
{
    struct quiet *q = &s->quiet;
    if (atomic_load(&q->state) == QUIET_NONE) {
        return false;
    }
    uint32_t state = take(q);
    bool kept = state == QUIET_KEPT && q->number == number;
    if (kept) {
        q->over = true;
        q->received = (int64_t)received;
        any_secret(q, conceal);
        publish(s);
    }
    give(q, state);
    return kept;
}

void quiet_tell(struct stream *s)
{
    struct quiet *q = &s->quiet;
    if (atomic_load(&q->state) == QUIET_NONE) {
        return;
    }
    if (take(q) == QUIET_KEPT) {
        tell(s);
    }
    give(q, QUIET_NONE);
}
