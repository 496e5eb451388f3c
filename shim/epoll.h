/* epoll.h: the epoll sets a stream's descriptor is in, so that a hand-over can repair them. */
#ifndef MIDSTREAM_EPOLL_H
#define MIDSTREAM_EPOLL_H

#include "stream.h"

/* Takes the descriptor out of its sets (before a hand-over), puts it in again (after it). Only by the hand. */
void epoll_part(struct stream *s, int fd);
void epoll_join(struct stream *s, int fd);

/*
 * A read has come short although there may be more: a program that waits for edges (EPOLLET) takes that for a sign that it has read
 * all (epoll(7)), so there is another edge if there is more. By a call that is inside the gate. Keeps errno.
 */
void epoll_edge(struct stream *s);

/* A surplus has come up: those who wait for the descriptor see it. Keeps errno. */
void epoll_show(struct stream *s);

/* The same by the hand. */
void epoll_show_all(struct stream *s);

#endif
