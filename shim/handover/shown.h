/*
 * shown.h: octets that a look ahead (MSG_PEEK) has shown the program, and that it has not read yet when its connection is to be replaced.
 *
 * It may read as many at once as it has seen. Content is the same on every connection, so the new one is waited for until it has brought
 * as much. Anything else, and what a relay will bring once it is there, is read from the old one first.
 */
#ifndef MIDSTREAM_SHOWN_H
#define MIDSTREAM_SHOWN_H

#include "stream/stream.h"

/* How many of them are content, where all are. */
uint64_t shown_content(struct stream *s);

/* The program has to read them from the old connection. */
bool shown_is_to_be_read(struct stream *s);

/* The new connection has still to bring some of them. */
bool shown_is_to_come(struct stream *s);

#endif
