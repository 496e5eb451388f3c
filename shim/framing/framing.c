/* framing.c: follows the framing of HTTP/1.x messages; see framing.h. */
#include "framing.h"

#include <string.h>
#include <strings.h>

#include "digest.h"

void framing_reset(struct framing *f, bool request)
{
    memset(f, 0, sizeof *f);
    f->request = request;
    f->length = -1;
}

static enum framing_event broken(struct framing *f)
{
    f->phase = MS_BROKEN;
    return FRAMING_MORE;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x SP 3DIGIT" (RFC 9112 §4) or "method SP target SP HTTP/1.x" (§3). */
static bool start_line(struct framing *f, size_t length)
{
    const char *text = f->text;
    if (f->request) {
        static const struct { const char *name; uint8_t method; } methods[] = {
            { "GET ", FRAMING_GET }, { "HEAD ", FRAMING_HEAD_REQUEST }, { "CONNECT ", FRAMING_CONNECT },
        };
        f->method = FRAMING_OTHER;
        for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
            if (!strncmp(text, methods[i].name, strlen(methods[i].name))) {
                f->method = methods[i].method;
            }
        }
        return memchr(text, ' ', length) != NULL;
    }
    /* SHOUTcast's, which nothing standardises, and players take for HTTP/1.0: a stream up to the end of the connection. */
    if (length >= 7 && !memcmp(text, "ICY 200", 7) && (length == 7 || text[7] == ' ')) {
        f->minor = 0;
        f->status = 200;
        return true;
    }
    if (length < 12 || memcmp(text, "HTTP/1.", 7) || !is_digit(text[7]) || text[8] != ' '
        || !is_digit(text[9]) || !is_digit(text[10]) || !is_digit(text[11]) || (length > 12 && text[12] != ' ')) {
        return false;
    }
    f->minor = text[7] - '0';
    f->status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
    return f->status >= 100;
}

/* Content-Length = 1*DIGIT; a list of equal values counts as one (RFC 9112 §6.3). */
static bool content_length(struct framing *f, const char *value, const char *end)
{
    do {
        int64_t n = 0;
        int digits = 0;
        while (value < end && (*value == ' ' || *value == '\t')) {
            value++;
        }
        for (; value < end && is_digit(*value); value++, digits++) {
            if (n > (INT64_MAX - (*value - '0')) / 10) {
                return false;
            }
            n = n * 10 + (*value - '0');
        }
        while (value < end && (*value == ' ' || *value == '\t')) {
            value++;
        }
        if (!digits || (value < end && *value != ',') || (f->length >= 0 && f->length != n)) {
            return false;
        }
        f->length = n;
    } while (value++ < end);
    return true;
}

static void transfer_encoding(struct framing *f, const char *value, const char *end)
{
    const char *last = value;
    for (const char *p = value; p < end; p++) {
        if (*p == ',') {
            last = p + 1;
        }
    }
    while (last < end && (*last == ' ' || *last == '\t')) {
        last++;
    }
    while (end > last && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    f->chunked = end - last == 7 && !strncasecmp(last, "chunked", 7) ? 1 : 2;
}

/* One line of the head, without its end; `length` may be more than was kept. */
static bool field_line(struct framing *f, size_t length)
{
    static const char te[] = "transfer-encoding", cl[] = "content-length";
    const char *text = f->text;
    if (text[0] == ' ' || text[0] == '\t') {
        return !f->folding; /* obs-fold is harmless unless it continues a framing field */
    }
    f->folding = 0;
    size_t kept = length < FRAMING_LINE_MAX ? length : FRAMING_LINE_MAX;
    const char *colon = memchr(text, ':', kept);
    if (!colon) {
        return length > kept; /* a very long field name: not one that frames */
    }
    size_t name = (size_t)(colon - text);
    const char *end = text + kept;
    bool is_te = name == sizeof te - 1 && !strncasecmp(text, te, name);
    bool is_cl = name == sizeof cl - 1 && !strncasecmp(text, cl, name);
    if (!is_te && !is_cl) {
        /* White space before the colon is how a framing field is smuggled past a parser (§5.1). */
        return name > 0 && text[name - 1] != ' ' && text[name - 1] != '\t';
    }
    if (length > kept) {
        return false;
    }
    f->folding = 1;
    if (is_te) {
        transfer_encoding(f, colon + 1, end);
        return true;
    }
    return content_length(f, colon + 1, end);
}

/* The empty line has been read: what follows (RFC 9112 §6.3)? */
static enum framing_event end_of_head(struct framing *f)
{
    f->interim = !f->request && f->status / 100 == 1 && f->status != 101;
    f->upgraded = f->request ? f->method == FRAMING_CONNECT : f->status == 101;
    f->content = 0;
    if (f->upgraded) {
        f->phase = MS_BROKEN;
    } else if (!f->request
               && (f->method == FRAMING_HEAD_REQUEST || f->status / 100 == 1 || f->status == 204 || f->status == 304)) {
        f->phase = MS_LENGTH;
        f->left = 0;
    } else if (f->chunked) {
        if (f->length >= 0 || f->minor == 0) {
            /* Both fields, or Transfer-Encoding in HTTP/1.0: implementations disagree, so leave it alone. */
            f->phase = f->request && f->length < 0 ? MS_CHUNK_SIZE : MS_BROKEN;
        } else {
            f->phase = f->chunked == 1 ? MS_CHUNK_SIZE : f->request ? MS_BROKEN : MS_CLOSE;
        }
        f->left = 0;
        f->digits = 0;
    } else if (f->length >= 0 || f->request) {
        f->phase = MS_LENGTH;
        f->left = f->length >= 0 ? (uint64_t)f->length : 0;
    } else {
        f->phase = MS_CLOSE;
    }
    return FRAMING_ENDED_HEAD;
}

/* One octet of the head; true when the head has ended. */
static bool head_octet(struct framing *f, char c)
{
    if (++f->head > FRAMING_HEAD_MAX) {
        broken(f);
        return false;
    }
    if (c != '\n') {
        if (f->cr) {
            broken(f); /* a bare CR (RFC 9112 §2.2) */
            return false;
        }
        if (c == '\r') {
            f->cr = true;
            return false;
        }
        if (f->line < FRAMING_LINE_MAX) {
            f->text[f->line] = c;
        }
        f->line++;
        return false;
    }
    uint32_t length = f->line;
    f->line = 0;
    f->cr = false;
    if (!length) {
        return f->started; /* empty lines before the start line are skipped (§2.2) */
    }
    if (length < FRAMING_LINE_MAX) {
        f->text[length] = 0;
    }
    bool good = f->started ? field_line(f, length) : start_line(f, length < FRAMING_LINE_MAX ? length : FRAMING_LINE_MAX);
    f->started = 1;
    if (!good) {
        broken(f);
    }
    return false;
}

static int hex_digit(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void end_of_chunk_size(struct framing *f)
{
    f->line = 0;
    f->cr = false;
    f->phase = f->left == 0 ? MS_TRAILER : MS_CHUNK_DATA;
}

/* One of a chunk's size. */
static inline void size_octet(struct framing *f, char c)
{
    int value = hex_digit(c);
    if (value >= 0) {
        if (f->left >> 59) {
            broken(f);
        }
        f->left = f->left << 4 | (unsigned)value;
        f->digits++;
    } else if (!f->digits) {
        broken(f);
    } else if (c == ';' || c == ' ' || c == '\t') {
        f->phase = MS_CHUNK_EXT;
        f->spaced = c != ';';
    } else if (c == '\r') {
        f->phase = MS_CHUNK_SIZE_LF;
    } else if (c == '\n') {
        end_of_chunk_size(f);
    } else {
        broken(f);
    }
}

/* One of the trailer section. True when that ends. */
static inline bool trailer_octet(struct framing *f, char c)
{
    if (++f->head > FRAMING_HEAD_MAX) {
        broken(f);
        return false;
    }
    if (c == '\n') {
        bool empty = f->line == 0;
        f->line = 0;
        f->cr = false;
        return empty;
    }
    if (f->cr) {
        broken(f); /* a bare CR */
        return false;
    }
    if (c == '\r') {
        f->cr = true;
    } else {
        f->line++;
    }
    return false;
}

/* One octet of chunk framing (RFC 9112 §7.1); true when the message has ended. */
static bool chunk_octet(struct framing *f, char c)
{
    if (f->phase <= MS_CHUNK_SIZE_LF && ++f->line > FRAMING_CHUNK_LINE_MAX) {
        broken(f);
        return false;
    }
    switch (f->phase) {
    case MS_CHUNK_SIZE:
        size_octet(f, c);
        return false;
    case MS_CHUNK_EXT:
        if (c == '\r') {
            f->phase = MS_CHUNK_SIZE_LF;
        } else if (c == '\n') {
            end_of_chunk_size(f);
        } else if (c == ';') {
            f->spaced = false;
        } else if (!c || (f->spaced && c != ' ' && c != '\t')) {
            broken(f); /* no extension begins without its ";" */
        }
        return false;
    case MS_CHUNK_SIZE_LF:
        if (c == '\n') {
            end_of_chunk_size(f);
        } else {
            broken(f);
        }
        return false;
    case MS_CHUNK_DATA_CR:
        if (c == '\r') {
            f->phase = MS_CHUNK_DATA_LF;
            return false;
        }
        /* A bare LF is taken as a line end. */
        __attribute__((fallthrough));
    case MS_CHUNK_DATA_LF:
        if (c != '\n') {
            broken(f);
            return false;
        }
        f->phase = MS_CHUNK_SIZE;
        f->left = 0;
        f->digits = 0;
        f->line = 0;
        return false;
    default: /* MS_TRAILER */
        return trailer_octet(f, c);
    }
}

/* Keeps the last octets of a run of content; f->content is the offset of its first. */
static void keep(const struct framing *f, const uint8_t *octets, size_t count)
{
    struct ms_counters *c = f->tail;
    uint8_t *ring = f->tail_octets;
    size_t size = atomic_load_explicit(&c->tail_size, memory_order_relaxed);
    uint64_t at = f->content;
    atomic_store_explicit(&c->tail_end, at + count, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* who reads an octet written below sees tail_end, too */
    if (at < MS_BEGINNING && atomic_load_explicit(&c->beginning, memory_order_relaxed) == at) {
        size_t n = MS_BEGINNING - at < count ? MS_BEGINNING - at : count;
        memcpy(ring + size + at, octets, n);
        atomic_store_explicit(&c->beginning, (uint32_t)(at + n), memory_order_release);
    }
    if (count > size) {
        octets += count - size;
        at += count - size;
        count = size;
    }
    size_t place = at % size, first = size - place < count ? size - place : count;
    memcpy(ring + place, octets, first);
    memcpy(ring, octets + first, count - first);
}

/* Counts a run of content, at most what is left of it. */
static void content(struct framing *f, const uint8_t *octets, size_t count)
{
    if (f->tail) {
        keep(f, octets, count);
    }
    if (f->digest && f->content + count > MS_WHOLE_MAX) {
        f->digest = NULL;
    } else if (f->digest) {
        digest_add(f->digest, f->digest_keys, f->content, octets, count);
    }
    f->left -= count;
    f->content += count;
}

/* Hexadecimal digits that a plain chunk-size line has at most; longer ones are read octet by octet. */
#define PLAIN_DIGITS_MAX 8

/*
 * The plain chunk-size line (RFC 9112 §7.1) between two chunks: CRLF, digits that are not all zero, CRLF. Returns its
 * length, 0 where it is not all there, or is anything else.
 */
static size_t plain_line(const uint8_t *octets, size_t count, uint64_t *size, uint32_t *digits)
{
    if (count < 5 || octets[0] != '\r' || octets[1] != '\n') {
        return 0;
    }
    const uint8_t *at = octets + 2, *end = octets + (count < 4 + PLAIN_DIGITS_MAX ? count : 4 + PLAIN_DIGITS_MAX) - 1;
    uint64_t value = 0;
    int digit;
    for (; at < end && (digit = hex_digit((char)*at)) >= 0; at++) {
        value = value << 4 | (unsigned)digit;
    }
    if (at == end || !value || at[0] != '\r' || at[1] != '\n') {
        return 0;
    }
    *size = value;
    *digits = (uint32_t)(at - octets) - 2;
    return (size_t)(at - octets) + 2;
}

/* Small chunks come many in one read. This comes to the same as reading them octet by octet, in a tenth of the time. */
static size_t whole_chunks(struct framing *f, const uint8_t *octets, size_t count)
{
    size_t done = 0;
    while (f->left < count - done) {
        uint64_t size;
        uint32_t digits;
        size_t line = plain_line(octets + done + f->left, count - done - f->left, &size, &digits);
        if (!line) {
            break;
        }
        size_t run = f->left;
        content(f, octets + done, run);
        done += run + line;
        f->left = size;
        f->digits = digits;
        f->line = 0;
        f->cr = false;
    }
    return done;
}

static void begin_head(struct framing *f)
{
    f->phase = MS_HEAD;
    f->head = f->line = 0;
    f->started = f->folding = f->chunked = 0;
    f->minor = 1;
    f->cr = f->interim = f->upgraded = false;
    f->length = -1;
    f->content = 0;
}

enum framing_event framing_read(struct framing *f, const uint8_t *octets, size_t count, size_t *used)
{
    size_t i = 0;
    *used = 0;
    if (f->phase == MS_LENGTH && f->left == 0) {
        f->phase = MS_IDLE;
        return FRAMING_ENDED;
    }
    while (i < count) {
        size_t n = count - i;
        switch (f->phase) {
        case MS_IDLE:
            begin_head(f);
            *used = i;
            return FRAMING_BEGUN;
        case MS_HEAD:
            if (head_octet(f, (char)octets[i++])) {
                *used = i;
                return end_of_head(f);
            }
            break;
        case MS_CHUNK_DATA:
            n -= whole_chunks(f, octets + i, n);
            i = count - n;
            __attribute__((fallthrough));
        case MS_LENGTH:
            n = n > f->left ? f->left : n;
            content(f, octets + i, n);
            i += n;
            if (f->left == 0) {
                if (f->phase == MS_LENGTH) {
                    f->phase = MS_IDLE;
                    *used = i;
                    return FRAMING_ENDED;
                }
                f->phase = MS_CHUNK_DATA_CR;
            }
            break;
        case MS_CLOSE:
            if (f->tail) {
                keep(f, octets + i, n);
            }
            f->content += n;
            i = count;
            break;
        case MS_BROKEN:
            *used = count;
            return FRAMING_MORE;
        default:
            if (chunk_octet(f, (char)octets[i++])) {
                f->phase = MS_IDLE;
                *used = i;
                return FRAMING_ENDED;
            }
        }
    }
    *used = i;
    return FRAMING_MORE;
}
