/*
 * quiet.h: exchanges that the core is not told of before somebody has to know.
 *
 * A message costs more than all else that a small exchange does. So while the core looks at the counters by itself (ms_shared.looks),
 * the heads of an exchange are kept here, and replaced by those of the next one. The core finds in ms_counters.quiet that there is
 * one, and asks (MS_ASK) when it lasts, or when somebody wants to know; then, and before any other message that means the exchange,
 * it is told as if that had been done in time, and goes on in messages.
 *
 * What is kept is changed by one thread at a time: that inside a call on the descriptor, or the agent.
 */
#ifndef MIDSTREAM_QUIET_H
#define MIDSTREAM_QUIET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest two heads, together, that are kept. */
#define QUIET_OCTETS 4096

struct stream;

struct quiet {
    _Atomic uint32_t state; /* enum quiet_state */
    uint64_t number;        /* of the exchange */
    uint8_t *octets;        /* of the request's head, then the response's; NULL before the first */
    uint16_t request, response; /* how many octets of each there are */
    bool request_whole, response_whole, over;
    uint32_t phase;         /* after the response's head */
    int64_t length;         /* its Content-Length, or -1 */
    int64_t received;       /* once it is over */
};

/* The record's stream has ended, or a new one begins: there is nothing to keep. */
void quiet_reset(struct stream *s);

/* A request begins. */
void quiet_begin(struct stream *s, uint64_t number);

/* Octets of a head, as they would be sent in a message (MS_REQUEST, MS_RESPONSE). False if a message has to be sent. */
bool quiet_keep(struct stream *s, unsigned kind, unsigned flags, uint64_t number, uint32_t phase, int64_t length, const void *octets, size_t count);

/* The exchange is over. False if a message has to be sent. */
bool quiet_end(struct stream *s, uint64_t number, uint64_t received);

/* Tells the core of what is kept, if anything is. */
void quiet_tell(struct stream *s);

#endif
