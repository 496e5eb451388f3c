/*
 * tail.h: the last octets of content that the program has been handed: what another server sends is compared
 * with them before it counts as the same.
 */
#ifndef MIDSTREAM_TAIL_H
#define MIDSTREAM_TAIL_H

#include "framing.h"

/* Tails of this size, so many in a process; beyond, smaller ones. Powers of two. */
#define TAIL_SIZE (64 * 1024)
#define TAIL_SIZE_MANY (8 * 1024)
#define TAILS_LARGE 64

/* From the content octet that `in` reads next on, if there is memory. Only by the stream's reader. */
void tail_start(struct framing *in, struct ms_counters *counters);

/* Nothing is kept from here on, and nothing that was kept counts. Only by the stream's reader. */
void tail_stop(struct framing *in, struct ms_counters *counters);

#endif
