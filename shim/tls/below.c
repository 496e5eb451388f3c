/* below.c: see below.h. */
#include "below.h"

#include <errno.h>
#include <string.h>

#include "framing/hello.h"
#include "tls.h"

/* The last of them whose session has not been asked for. Under tls_mutex. */
#define SENT 64
static struct {
    struct stream *stream;
    uint64_t id;
    bool within; /* a library's call */
    const struct tls *session; /* on which that was; NULL: none that is known */
    uint8_t random[HELLO_RANDOM];
} sent[SENT];
static unsigned next;

void below_sent(struct stream *s, const uint8_t *random)
{
    pthread_mutex_lock(&tls_mutex);
    unsigned i = next++ % SENT;
    sent[i].stream = s;
    sent[i].id = s->id;
    struct tls_frame *frame = tls_inside();
    sent[i].within = frame;
    sent[i].session = frame ? frame->session : NULL;
    memcpy(sent[i].random, random, HELLO_RANDOM);
    pthread_mutex_unlock(&tls_mutex);
}

bool below_random(const struct tls *t, uint8_t *random)
{
    bool found = false;
    pthread_mutex_lock(&tls_mutex);
    for (unsigned i = 0; t && !found && i < SENT; i++) {
        found = sent[i].stream && sent[i].session == t;
        if (found) {
            memcpy(random, sent[i].random, HELLO_RANDOM);
        }
    }
    pthread_mutex_unlock(&tls_mutex);
    return found;
}

/* With tls_mutex. */
static struct stream *stream_with(const uint8_t *random, bool *within)
{
    for (unsigned i = 0; i < SENT; i++) {
        struct stream *s = sent[i].stream;
        if (s && !memcmp(sent[i].random, random, HELLO_RANDOM)) {
            sent[i].stream = NULL;
            *within = sent[i].within;
            return s->id == sent[i].id && atomic_load(&s->stage) == STAGE_CANDIDATE ? s : NULL;
        }
    }
    return NULL;
}

struct tls *below_look(struct tls_library *library, void *handle, struct tls *t)
{
    uint8_t random[HELLO_RANDOM];
    if (!library || !library->complete || (t && tls_stream(t)) || !library->kind->hello(library, handle, random)) {
        return NULL;
    }
    int saved = errno;
    pthread_mutex_lock(&tls_mutex);
    bool within = true;
    struct stream *s = stream_with(random, &within);
    pthread_mutex_unlock(&tls_mutex);
    t = s ? tls_get(library, handle) : NULL;
    if (t) {
        pthread_mutex_lock(&tls_mutex);
        tls_tie(t, s);
        pthread_mutex_unlock(&tls_mutex);
        if (!within) {
            tls_spoil(t, MS_WHY_TLS_CARRIED);
        }
    }
    errno = saved;
    return t;
}
