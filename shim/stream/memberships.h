/*
 * memberships.h: the epoll sets that a descriptor is in. Those of the program are taken out of a set and put in again when something else
 * comes behind the number, as it has told the kernel.
 *
 * They are changed by epoll_ctl() and the waits, one at a time (`busy`), and by the agent and whoever takes the turn of a connection attempt,
 * with the gate closed and nobody inside (wait/epoll.c).
 */
#ifndef MIDSTREAM_MEMBERSHIPS_H
#define MIDSTREAM_MEMBERSHIPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Epoll sets that one descriptor may be in and still be moved. */
#define STREAM_EPOLLS 4

struct membership {
    int epfd;    /* -1: unused */
    bool parted; /* taken out for a hand-over */
    bool fired;  /* EPOLLONESHOT: it was disabled when it was taken out */
    bool lent;   /* EPOLLOUT was added to stand for pending plaintext */
    bool silenced; /* EPOLLET was added, for the kernel would show an end all the time that is not to be seen yet */
    uint32_t told; /* what the kernel was told to show */
    struct epoll_event event; /* what the program has told */
};

struct memberships {
    struct membership list[STREAM_EPOLLS];
    _Atomic uint32_t busy; /* a call changes one */
    bool too_many;         /* not all of them are known: the descriptor stays as it is */
    int sought_in;         /* the set that it was looked for in last */
};

#endif
