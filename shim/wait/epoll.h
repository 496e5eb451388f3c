/* epoll.h: the epoll sets a stream's descriptor is in, so that a hand-over can repair them. */
#ifndef MIDSTREAM_EPOLL_H
#define MIDSTREAM_EPOLL_H

#include "stream/stream.h"

/*
 * Why it cannot be known which sets the descriptor is in, or NULL. Whoever has an io_uring may change sets by it, as libuv does, which no
 * hook sees: then the kernel has the last word (proc(5), fdinfo).
 */
enum ms_why epoll_know(struct stream *s);

/*
 * Takes the descriptor out of its sets (before a hand-over), puts it in again (after it). Only by the agent, or whoever else changes what
 * is behind it. A change by an io_uring in between would fail: where there is one, that is to be no longer than it must.
 */
void epoll_part(struct stream *s, int fd);
void epoll_join(struct stream *s, int fd);

/*
 * A read has come short although there may be more: a program that waits for edges (EPOLLET) takes that for a sign that it has read
 * all (epoll(7)), so there is another edge if there is more. By a call that is inside the gate. Keeps errno.
 */
void epoll_edge(struct stream *s);

/* Plaintext is pending: those who wait for the descriptor see it. Keeps errno. */
void epoll_show(struct stream *s);

/* The same by the agent. */
void epoll_show_all(struct stream *s);

#endif
