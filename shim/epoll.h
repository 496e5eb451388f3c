/* epoll.h: the epoll sets a stream's descriptor is in, so that a hand-over can repair them. */
#ifndef MIDSTREAM_EPOLL_H
#define MIDSTREAM_EPOLL_H

#include "stream.h"

/* Takes the descriptor out of its sets (before a hand-over), puts it in again (after it). Only by the hand. */
void epoll_part(struct stream *s, int fd);
void epoll_join(struct stream *s, int fd);

/* A surplus has come up: those who wait for the descriptor see it. Keeps errno. */
void epoll_show(struct stream *s);

#endif
