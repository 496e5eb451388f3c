/*
 * exchange.h: requests and responses on a stream: follows the octets that the program has sent and been handed, tells the core of heads
 * and ends, and publishes where the program stands.
 *
 * By the thread inside a call on the descriptor: the writer what was sent, the reader all else.
 */
#ifndef MIDSTREAM_EXCHANGE_H
#define MIDSTREAM_EXCHANGE_H

#include "stream/stream.h"

/* Octets that the program has sent. */
void exchange_sent(struct stream *s, const uint8_t *octets, size_t count);

/* Octets that the program has been handed. */
void exchange_received(struct stream *s, const uint8_t *octets, size_t count);

/* The core sees where the program stands. */
void exchange_publish(struct stream *s);

/* Before octets are counted: a tail is kept of them (tail.h), or is not, as the core wants it. */
void exchange_keep_tail(struct stream *s);

/* When the program was handed so many octets: what a stall is measured by. */
void exchange_note_read(struct stream *s, size_t octets);

/* The program was handed octets, now and before (ns): tells the core if that is long ago. */
void exchange_stirs(struct stream *s, uint64_t before, uint64_t now);

/* The reader that has reached the offset of a hand-over closes the gate, so that no octet more is read. */
void exchange_check_stop(struct stream *s);

#endif
