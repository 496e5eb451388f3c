/* reframe.c: delivers an answer in another framing than its own; see reframe.h. */
#include "reframe.h"

#include <stdio.h>
#include <string.h>

/* How many hexadecimal digits of a chunk size programs accept, leading zeros included: curl takes 16. */
#define DIGITS_MAX 16

#define BEFORE_CRLF (-1)

bool content_is_over(struct framing *f)
{
    size_t used;
    if (f->phase == MS_LENGTH && !f->left) {
        framing_read(f, (const uint8_t *)"", 0, &used);
    }
    return f->phase == MS_IDLE;
}

size_t content_next(struct framing *f, const uint8_t **at, const uint8_t *end, size_t most)
{
    while (!content_is_over(f) && *at < end) {
        size_t n = (size_t)(end - *at), used;
        if (f->phase == MS_CLOSE) {
            return n < most ? n : most;
        }
        if (f->phase == MS_LENGTH || f->phase == MS_CHUNK_DATA) {
            n = f->left < n ? (size_t)f->left : n;
            return n < most ? n : most;
        }
        if (f->phase == MS_BROKEN || f->phase == MS_TRAILER) {
            return 0;
        }
        framing_read(f, *at, 1, &used);
        *at += used;
    }
    return 0;
}

void content_take(struct framing *f, const uint8_t **at, size_t n)
{
    while (n) {
        size_t used;
        framing_read(f, *at, n, &used);
        *at += used;
        n -= used;
    }
}

size_t trailer_take(struct framing *f, const uint8_t **at, const uint8_t *end, size_t most)
{
    size_t n = (size_t)(end - *at), used;
    framing_read(f, *at, n < most ? n : most, &used);
    *at += used;
    return used;
}

static void put(struct reframe *r, const char *text)
{
    size_t n = strlen(text);
    memcpy(r->out, text, n);
    r->out_at = 0;
    r->out_end = (uint8_t)n;
}

static enum ms_why in_chunk(struct reframe *r, const char *text, uint64_t run)
{
    if (run > INT64_MAX || (r->left >= 0 && (int64_t)run > r->left)) {
        return MS_WHY_CHUNK_OVERRUN;
    }
    put(r, text);
    r->run = (int64_t)run;
    return MS_WHY_NONE;
}

static enum ms_why behind_last(struct reframe *r, const char *text, int64_t where)
{
    if (r->left > 0) {
        return MS_WHY_LAST_CHUNK_READ;
    }
    put(r, text);
    r->run = where;
    return MS_WHY_NONE;
}

/* Where the program stands in chunked content (RFC 9112 §7.1). */
static enum ms_why begin_chunked(struct reframe *r, const struct ms_position *p)
{
    r->digits = BEFORE_CRLF;
    switch (p->phase) {
    case MS_CHUNK_DATA:
        return in_chunk(r, "", p->chunk_left);
    case MS_CHUNK_DATA_CR:
        return MS_WHY_NONE;
    case MS_CHUNK_DATA_LF:
        put(r, "\n");
        r->digits = 0;
        return MS_WHY_NONE;
    case MS_CHUNK_SIZE:
        if (p->chunk_size) {
            return in_chunk(r, "\r\n", p->chunk_size);
        }
        if (p->chunk_digits >= DIGITS_MAX && r->left) {
            return behind_last(r, "\r\n", REFRAME_IN_TRAILER);
        }
        r->digits = (int32_t)p->chunk_digits;
        return MS_WHY_NONE;
    case MS_CHUNK_EXT:
        return p->chunk_size ? in_chunk(r, "\r\n", p->chunk_size) : behind_last(r, "\r\n", REFRAME_IN_TRAILER);
    case MS_CHUNK_SIZE_LF:
        return p->chunk_size ? in_chunk(r, "\n", p->chunk_size) : behind_last(r, "\n", REFRAME_IN_TRAILER);
    case MS_TRAILER:
        if (p->line && !p->cr) {
            return MS_WHY_IN_TRAILER;
        }
        return behind_last(r, p->line ? "\n\r\n" : p->cr ? "\n" : "\r\n", REFRAME_AT_END);
    }
    return MS_WHY_NOT_IN_CONTENT;
}

enum ms_why reframe_begin(struct reframe *r, const struct ms_position *p, const struct framing *source,
                          const struct ms_answer *answer)
{
    memset(r, 0, sizeof *r);
    r->source = *source;
    r->source.tail = NULL;
    r->left = answer->left;
    r->longer = answer->longer;
    r->whole = answer->whole;
    switch (p->phase) {
    case MS_LENGTH:
        return r->left < 0 ? MS_WHY_LENGTH_UNKNOWN : MS_WHY_NONE;
    case MS_CLOSE:
        r->closes = true;
        return MS_WHY_NONE;
    }
    r->chunked = true;
    return begin_chunked(r, p);
}

static bool at_end(struct reframe *r)
{
    if (r->left == 0 && (r->longer || r->source.phase == MS_CLOSE)) {
        return true;
    }
    return content_is_over(&r->source);
}

/* All content has been delivered: what ends it for the program comes next. True when there is something to be written. */
static bool finish(struct reframe *r)
{
    if (r->left > 0 || (r->chunked && r->run > 0)) {
        r->wrong = true;
        return false;
    }
    if (r->chunked && r->run == 0) {
        put(r, r->digits == BEFORE_CRLF ? "\r\n0\r\n" : r->digits > 0 ? "\r\n" : "0\r\n");
        r->run = REFRAME_IN_TRAILER;
        return true;
    }
    if (r->chunked && r->run == REFRAME_IN_TRAILER && r->source.phase != MS_TRAILER) {
        put(r, "\r\n");
        r->run = REFRAME_AT_END;
        return true;
    }
    r->over = true;
    r->spent = r->closes || r->alone || !content_is_over(&r->source);
    return false;
}

/* In the source's trailer section, which the program is handed or is not. */
static size_t pass_trailer(struct reframe *r, const uint8_t **at, const uint8_t *end, uint8_t *to, size_t room)
{
    const uint8_t *from = *at;
    bool passes = r->chunked && r->run == REFRAME_IN_TRAILER && r->whole;
    size_t n = trailer_take(&r->source, at, end, passes ? room : SIZE_MAX);
    if (!passes) {
        return 0;
    }
    if (to) {
        memcpy(to, from, n);
    }
    if (content_is_over(&r->source)) {
        r->run = REFRAME_AT_END;
    }
    return n;
}

/* The size line of a chunk that n octets are at hand for. */
static void begin_chunk(struct reframe *r, size_t n)
{
    int read = r->digits > 0 ? r->digits : 0;
    uint64_t run = r->source.phase == MS_CLOSE ? n : r->source.left;
    if (r->left >= 0 && (uint64_t)r->left < run) {
        run = (uint64_t)r->left;
    }
    if (read && DIGITS_MAX - read < 15 && run >> 4 * (DIGITS_MAX - read)) {
        run = ((uint64_t)1 << 4 * (DIGITS_MAX - read)) - 1;
    }
    char line[REFRAME_OUT];
    snprintf(line, sizeof line, "%s%llx\r\n", r->digits == BEFORE_CRLF ? "\r\n" : "", (unsigned long long)run);
    put(r, line);
    r->run = (int64_t)run;
    r->digits = BEFORE_CRLF;
}

/* Passes content on, `n` octets at most. Returns how many. */
static size_t pass_content(struct reframe *r, const uint8_t **at, size_t n, uint8_t *to, size_t room)
{
    n = n < room ? n : room;
    n = r->left >= 0 && (uint64_t)r->left < n ? (size_t)r->left : n;
    n = r->chunked && (uint64_t)r->run < n ? (size_t)r->run : n;
    if (to) {
        memcpy(to, *at, n);
    }
    content_take(&r->source, at, n);
    r->left -= r->left >= 0 ? (int64_t)n : 0;
    r->run -= r->chunked ? (int64_t)n : 0;
    return n;
}

size_t reframe(struct reframe *r, const uint8_t *octets, size_t count, size_t *used, uint8_t *to, size_t room)
{
    const uint8_t *at = octets, *end = octets + count;
    size_t made = 0;
    while (!r->wrong) {
        if (r->out_at < r->out_end) {
            if (made == room) {
                break;
            }
            if (to) {
                to[made] = (uint8_t)r->out[r->out_at];
            }
            made++;
            r->out_at++;
            continue;
        }
        if (r->over || (at_end(r) && !finish(r))) {
            break;
        }
        if (r->out_at < r->out_end) {
            continue;
        }
        size_t n = content_next(&r->source, &at, end, SIZE_MAX);
        if (r->source.phase == MS_TRAILER) {
            if ((r->left > 0 || r->run >= 0) && r->chunked) {
                finish(r);
                continue;
            }
            if (at == end || made == room) {
                break;
            }
            made += pass_trailer(r, &at, end, to ? to + made : NULL, room - made);
            continue;
        }
        if (!n) {
            if (r->source.phase == MS_BROKEN) {
                r->wrong = true;
            } else if (content_is_over(&r->source)) {
                continue;
            }
            break;
        }
        if (r->left == 0 || (r->chunked && r->run < 0)) {
            r->wrong = true; /* it has more than it should */
            break;
        }
        if (r->chunked && !r->run) {
            begin_chunk(r, n);
            continue;
        }
        if (made == room) {
            break;
        }
        made += pass_content(r, &at, n, to ? to + made : NULL, room - made);
    }
    *used = (size_t)(at - octets);
    return made;
}

bool reframe_is_short(const struct reframe *r)
{
    return r->closes && r->left > 0;
}

bool reframe_ended(struct reframe *r)
{
    if (r->over || r->source.phase != MS_CLOSE || r->left > 0 || (r->chunked && r->run > 0)) {
        return false;
    }
    r->left = 0;
    return true;
}
