/*
 * exchanges.h: the requests that have been written on a connection, and the responses that have been read.
 *
 * Counts from the requests' side are the writer's, those from the responses' side the reader's, of which there is one each at a time
 * (caller.h); each reads the other's. A response may be read whose request has still to be counted: the reader waits for that
 * (call/exchange.c).
 */
#ifndef MIDSTREAM_EXCHANGES_H
#define MIDSTREAM_EXCHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Requests on one connection that may wait for their answers at once. */
#define STREAM_PIPELINE 64

struct exchanges {
    /* The writer's. */
    uint8_t matched;           /* STAGE_CANDIDATE: octets of a method seen so far */
    char start[12];            /* those octets */
    _Atomic uint64_t sent;     /* requests begun */
    _Atomic uint64_t heads;    /* bit n % STREAM_PIPELINE: request n is a HEAD */
    _Atomic uint64_t connects; /* likewise a CONNECT */
    uint64_t first;            /* the first request the core was told of */

    /* The reader's. */
    _Atomic uint64_t answered;  /* responses read to their end */
    bool head_told;             /* the core has been told of the response in progress from its first octet on */
    _Atomic uint64_t last_read; /* CLOCK_MONOTONIC ns of the last octets handed to the program */
};

#endif
