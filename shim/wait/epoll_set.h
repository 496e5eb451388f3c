/* epoll_set.h: epoll sets as the kernel shows them in /proc (proc(5), fdinfo): which there are, and what is in one. */
#ifndef MIDSTREAM_EPOLL_SET_H
#define MIDSTREAM_EPOLL_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets of one process that are looked into. */
#define EPOLL_SETS 32

struct epoll_sets {
    int fds[EPOLL_SETS];
    int count;
    bool more; /* there are more than those */
};

/* All sets in the descriptor table of this thread, as of up to a second ago. False: they cannot be known. */
bool epoll_survey(struct epoll_sets *sets);

/* An io_uring has been seen in the process. */
bool epoll_has_ring(void);
void epoll_note_ring(void);

/* A descriptor in a set. */
struct epoll_entry {
    int fd;
    uint32_t events; /* EPOLLERR and EPOLLHUP are always among them, unless it has fired */
    uint64_t data;
    uint64_t inode;
    bool fired; /* EPOLLONESHOT: it is disabled */
};

/* The lines of a set. To be read to their end. */
struct epoll_listing {
    int file;
    size_t kept, line;
    char text[512];
};

/* Keep errno. */
bool epoll_list(struct epoll_listing *listing, int epfd);
bool epoll_next(struct epoll_listing *listing, struct epoll_entry *entry);

#endif
