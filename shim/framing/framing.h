/*
 * framing.h: where one HTTP/1.x message ends and the next begins (RFC 9112 §6), octet by octet.
 *
 * The shim follows the framing itself, so that content never leaves it: heads are passed on to the core,
 * content is only counted. Whatever is malformed or ambiguous makes the phase MS_BROKEN, and the stream is
 * left alone. Any split of the same octets gives the same result.
 */
#ifndef MIDSTREAM_FRAMING_H
#define MIDSTREAM_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../cgo/abi.h"

/* The longest head, in octets, that is followed. */
#define FRAMING_HEAD_MAX (256 * 1024)

/* A header line is kept up to here; only framing fields are looked at, and those are short. */
#define FRAMING_LINE_MAX 120

/* The longest chunk-size line, extensions included, in octets: MaxChunkLine of core/http1. */
#define FRAMING_CHUNK_LINE_MAX 4096

enum framing_method { FRAMING_OTHER, FRAMING_GET, FRAMING_HEAD_REQUEST, FRAMING_CONNECT };

struct framing {
    uint32_t phase; /* enum ms_phase */
    bool request;   /* the messages are requests */

    /* The head being read. */
    uint32_t head;    /* octets of it so far, then those of the trailer section as well */
    uint32_t line;    /* octets of the present line so far, a chunk-size line's, too */
    uint8_t started;  /* the start line has been read */
    uint8_t folding;  /* what a continuation line would continue: 0 other, 1 a framing field */
    uint8_t chunked;  /* 0 no Transfer-Encoding, 1 chunked is last, 2 another is last */
    uint8_t minor;
    uint8_t method;   /* enum framing_method: of the request, or that a response answers */
    bool upgraded;    /* 101, or an answered CONNECT: no HTTP follows */
    bool interim;     /* the head just ended was a 1xx */
    bool cr;          /* the line so far ends in CR */
    uint16_t status;
    int64_t length; /* Content-Length, -1 none */
    char text[FRAMING_LINE_MAX];

    /* The content being read. */
    uint64_t content; /* octets so far */
    uint64_t left;    /* of the chunk, or of Content-Length */
    uint32_t digits;  /* of the chunk size */
    bool spaced;      /* MS_CHUNK_EXT: only white space has followed the size so far */
    struct ms_counters *tail; /* the content's last octets are kept, as these say; NULL: they are not */
    uint8_t *tail_octets;     /* there */
    struct ms_counters *digest;          /* a digest is made of the content, which these have; NULL: none is */
    const _Atomic uint64_t *digest_keys; /* by these */
};

enum framing_event {
    FRAMING_MORE,  /* all octets were used up */
    FRAMING_BEGUN, /* the first octet of a message is next; its head starts there */
    FRAMING_ENDED_HEAD,
    FRAMING_ENDED, /* the message is complete */
};

void framing_reset(struct framing *f, bool request);

/*
 * Reads octets up to the next event, and stores how many were used. After FRAMING_ENDED the phase is
 * MS_IDLE. A response is read only while a request waits for one: the caller sets `method` at FRAMING_BEGUN.
 */
enum framing_event framing_read(struct framing *f, const uint8_t *octets, size_t count, size_t *used);

#endif
