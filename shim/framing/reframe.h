/*
 * reframe.h: an answer in one framing is delivered as the rest of a response in another (RFC 9112 §6, §7.1).
 *
 * A TLS session that has moved reads an answer of the new server's whose framing need not be the one that the program
 * has begun to read. What the program is handed is made here, octet for octet, from where it stands: nothing is
 * allocated, nothing is kept but a few octets of framing, and any split of the same octets gives the same result.
 */
#ifndef MIDSTREAM_REFRAME_H
#define MIDSTREAM_REFRAME_H

#include "framing.h"

/* The longest piece of framing that is written at once. */
#define REFRAME_OUT 24

struct reframe {
    struct framing source; /* the answer's, behind its head */
    int64_t left;          /* octets of content from the source's next one to the response's end; -1 unknown */
    bool longer;           /* the answer goes on after them */
    bool whole;            /* it is that to the request itself: its trailer section is handed on as well */
    bool alone;            /* the program has nothing more to expect of that connection: it is another name's */
    bool chunked, closes;  /* what the program reads; else a Content-Length */
    int64_t run;           /* octets of the program's chunk to come; 0: between chunks; or one of the next */
    int32_t digits;        /* run 0: digits of a size that it has read, zeros all; -1: it has still to read CR LF */
    bool over;             /* all of the response has been made */
    bool spent;            /* over, and nothing more can come on the connection that is the program's */
    bool wrong;            /* the answer is not what it was taken for; what was made before is right */
    char out[REFRAME_OUT]; /* framing that comes next */
    uint8_t out_at, out_end;
};

/* For run: in the trailer section (RFC 9112 §7.1.2), or behind all. */
#define REFRAME_IN_TRAILER (-1)
#define REFRAME_AT_END (-2)

/* How much of an answer is content, and where. */

/*
 * Steps over framing, up to the next content: *at moves over what has been read. Returns how many octets of content
 * follow there, `most` at most; 0: none before `end`, or none ever (content_is_over, or the phase is MS_TRAILER), or the framing is broken.
 */
size_t content_next(struct framing *f, const uint8_t **at, const uint8_t *end, size_t most);

/* Takes n of those octets. */
void content_take(struct framing *f, const uint8_t **at, size_t n);

/* In a trailer section: takes octets of it, `most` at most, and returns how many. */
size_t trailer_take(struct framing *f, const uint8_t **at, const uint8_t *end, size_t most);

/* The answer, whose head has been read, has been read to its end. One without a length never is. */
bool content_is_over(struct framing *f);

/*
 * Begins at the position, which the source's next octet of content has to continue. Returns why that cannot be, or NULL;
 * then nothing is to be delivered.
 */
enum ms_why reframe_begin(struct reframe *r, const struct ms_position *position, const struct framing *source,
                          const struct ms_answer *answer);

/*
 * Makes up to `room` octets of the response from the `count` octets of the answer, and stores how many of these were used
 * up. All are used unless there is no more room, or `over` or `wrong` is set: what is left then is no part of it. Without
 * a buffer (NULL) it only counts.
 */
size_t reframe(struct reframe *r, const uint8_t *octets, size_t count, size_t *used, uint8_t *to, size_t room);

/* The program takes the end of the connection for that of the content, of which more is to come. */
bool reframe_is_short(const struct reframe *r);

/* The answer's connection has ended in the proper way. False: too early for the response. */
bool reframe_ended(struct reframe *r);

#endif
