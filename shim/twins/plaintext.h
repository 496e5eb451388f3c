/*
 * plaintext.h: the octets of a twin in the clear: its request, the stash of what has been read but not yet taken, and what the core, and
 * after the hand-over the program, takes of it. All with twin_begin_work.
 */
#ifndef MIDSTREAM_PLAINTEXT_H
#define MIDSTREAM_PLAINTEXT_H

#include <string.h>

#include "tls/twin.h"

/* How much is read at a time, for the core. */
#define PLAINTEXT_PIECE 4096

/* Overwrites octets that may be secret, whatever the compiler thinks of that. */
static inline void plaintext_wipe(void *octets, size_t length)
{
    memset(octets, 0, length);
    __asm__ volatile("" : : "r"(octets) : "memory");
}

/* Octets that wait: a request, or what the program is handed first. False: there is no memory. */
bool plaintext_add(uint8_t **octets, size_t *length, const void *more, size_t count);
void plaintext_drop(uint8_t **octets, size_t *length);

/* More of a request; `holds`: it is sent at the hand-over, not before. False: there is no memory. */
bool plaintext_request(struct twin *w, const void *data, size_t length, bool holds);
void plaintext_drop_request(struct twin *w);

/* Sends what there is of the request, unless it waits for the hand-over. */
enum tls_outcome plaintext_send(struct twin *w);

/* Reads a piece into the stash. */
enum tls_outcome plaintext_read(struct twin *w, size_t piece);

/* Answers what can be answered from the stash. True when the core waits for more. */
bool plaintext_answer(struct twin *w);

/* The twin goes: nothing of its octets is left in memory. */
void plaintext_gone(struct twin *w);

#endif
