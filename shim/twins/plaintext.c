/* plaintext.c: see plaintext.h. */
#include "plaintext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

/* How much of what has been read may wait. */
#define RECORD 16384 /* what one record holds at most (RFC 8446 §5.1) */
#define STASH_MAX (FRAMING_HEAD_MAX + 65536)

void plaintext_drop(uint8_t **octets, size_t *length)
{
    if (*octets) {
        plaintext_wipe(*octets, *length);
        free(*octets);
    }
    *octets = NULL;
    *length = 0;
}

bool plaintext_add(uint8_t **octets, size_t *length, const void *more, size_t count)
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
    plaintext_drop(octets, length);
    *octets = larger;
    *length = had + count;
    return true;
}

void plaintext_gone(struct twin *w)
{
    plaintext_drop_request(w);
    if (w->stash) {
        plaintext_wipe(w->stash, w->stash_room);
        free(w->stash);
        w->stash = NULL;
    }
    plaintext_drop(&w->first, &w->first_length);
}

void plaintext_drop_request(struct twin *w)
{
    plaintext_drop(&w->request, &w->request_length);
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
        plaintext_wipe(w->stash + had, w->stash_start);
    } else {
        size_t room = had + 2 * RECORD;
        uint8_t *larger = room <= STASH_MAX ? malloc(room) : NULL;
        if (!larger) {
            return false;
        }
        if (w->stash) {
            memcpy(larger, w->stash + w->stash_start, had);
            plaintext_wipe(w->stash, w->stash_room);
            free(w->stash);
        }
        w->stash = larger;
        w->stash_room = room;
    }
    w->stash_start = 0;
    w->stash_end = had;
    return true;
}

enum tls_outcome plaintext_read(struct twin *w, size_t piece)
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
    plaintext_wipe(w->stash + w->stash_start, n);
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
    twin_tell(w, MS_TWIN_OCTETS, MS_TRAILING, 0, start, n);
    consume(w, n);
    return true;
}

bool plaintext_answer(struct twin *w)
{
    if (w->skip > 0) {
        w->skip -= (int64_t)drop_octets(w, (size_t)w->skip);
        if (!w->skip) {
            twin_tell(w, MS_TWIN_SKIPPED, 0, 0, NULL, 0);
        }
    }
    size_t shown = w->head_done && !w->clear ? stashed(w) : w->clear;
    if (w->peek >= 0 && (int64_t)shown > w->peek) {
        size_t n = shown - (size_t)w->peek;
        n = n < MS_DATA_MAX ? n : MS_DATA_MAX;
        twin_tell(w, MS_TWIN_OCTETS, 0, w->peek, w->stash + w->stash_start + w->peek, n);
        w->peek = -1;
    }
    if (w->take > 0) {
        size_t n = next_octets(w, w->take < MS_DATA_MAX ? (size_t)w->take : MS_DATA_MAX);
        if (n) {
            twin_tell(w, MS_TWIN_OCTETS, 0, 0, w->stash + w->stash_start, n);
            take_octets(w, n);
            w->take = 0;
        } else if (tell_trailer(w)) {
            w->take = 0;
        } else if (is_over(w) && w->answer.phase != MS_TRAILER) {
            twin_tell(w, MS_TWIN_OCTETS, MS_LAST, 0, NULL, 0);
            w->take = 0;
        }
    }
    if (w->skip > 0 && is_over(w)) {
        twin_fail(w, MS_WHY_TWIN_SHORT);
        return false;
    }
    return w->skip > 0 || w->peek >= 0 || w->take > 0;
}

enum tls_outcome plaintext_send(struct twin *w)
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

bool plaintext_request(struct twin *w, const void *data, size_t length, bool holds)
{
    if (!plaintext_add(&w->request, &w->request_length, data, length)) {
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
        plaintext_wipe(w->stash, w->stash_room);
        free(w->stash);
    }
    plaintext_drop(&w->first, &w->first_length);
    w->stash = larger;
    w->stash_start = 0;
    w->stash_end = w->stash_room = first + had;
    return true;
}

int64_t twin_drain(struct twin *w)
{
    struct tls_frame frame;
    int64_t drained = 0;
    twin_begin_work(&frame);
    size_t held = w->handle ? stashed(w) + w->library->kind->pending(w->library, w->handle) : 0;
    int64_t left = w->expected.left;
    if (left < 0 && w->head_done && w->answer.phase == MS_LENGTH) {
        left = (int64_t)w->answer.left;
    }
    if (held && !w->clear && left > (int64_t)held) {
        drained = (int64_t)drop_octets(w, held);
        while (w->library->kind->pending(w->library, w->handle)) {
            if (plaintext_read(w, PLAINTEXT_PIECE) != TLS_DATA) {
                break;
            }
            drained += (int64_t)drop_octets(w, stashed(w));
        }
    }
    twin_end_work(&frame);
    return drained;
}

int64_t twin_skip(struct twin *w, int64_t n)
{
    struct tls_frame frame;
    int64_t gone = 0;
    twin_begin_work(&frame);
    while (w->handle && gone < n) {
        size_t part = drop_octets(w, (size_t)(n - gone));
        if (!part && (is_over(w) || plaintext_read(w, PLAINTEXT_PIECE) != TLS_DATA)) {
            break;
        }
        gone += (int64_t)part;
    }
    twin_end_work(&frame);
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
    twin_begin_work(&frame);
    w->holds = false;
    enum tls_outcome sent = plaintext_send(w);
    bool ready = stash_first(w);
    twin_end_work(&frame);
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
    w->frame.alone = *w->name;
    return why;
}

size_t twin_serve(struct twin *w, void *buffer, size_t length, bool peek)
{
    size_t n = stashed(w) < length ? stashed(w) : length;
    memcpy(buffer, w->stash + w->stash_start, n);
    if (!peek) {
        plaintext_wipe(w->stash + w->stash_start, n);
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
        enum tls_outcome outcome = plaintext_read(w, RECORD);
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
        if (plaintext_read(w, RECORD) != TLS_DATA) {
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
