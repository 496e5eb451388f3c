/* due.h: streams whose gate has been closed for the agent to look at. */
#ifndef MIDSTREAM_DUE_H
#define MIDSTREAM_DUE_H

#include "stream.h"

/* Has the agent look at the stream, whose gate the caller has closed. Any thread. */
void due_add(struct stream *s);

/* All of them, by the agent: the first; due_next leads to the others. */
struct stream *due_take(void);
struct stream *due_next(struct stream *s);

bool due_is_empty(void);

/* In a forked child, or when the agent has ended. */
void due_forget(void);

#endif
