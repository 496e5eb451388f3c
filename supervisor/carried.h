/*
 * carried.h: a connection of a program that the supervisor carries.
 *
 * Its life: MAKING, while the supervisor connects to the server and the program's socket is held (hold.h); JOINING, while the
 * program's is connected; RELAYING; OVER, when both ends are closed, but the program may still ask for the names of its socket. FAILED: the program
 * has still to ask why.
 */
#ifndef MIDSTREAM_SUPERVISOR_CARRIED_H
#define MIDSTREAM_SUPERVISOR_CARRIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "hold.h"

struct carried;
struct notice;
struct tls;
struct target;

enum carried_state { CARRIED_MAKING, CARRIED_JOINING, CARRIED_RELAYING, CARRIED_FAILED, CARRIED_OVER };

/* One of its two sockets. */
struct end {
    struct carried *of;
    int fd; /* -1: closed, or not yet made */
    bool readable, writable; /* as far as is known: epoll tells of changes */
};

/* Octets on their way from one to the other. */
struct way {
    struct end *from, *to;
    uint8_t *rest; /* read, and not yet sent: rest_length from rest_at on; NULL: none */
    size_t rest_at, rest_length;
    int pipe[2]; /* -1: none */
    size_t piped;
    bool bulk;  /* comes faster than it could be copied at little cost */
    bool ended; /* FIN has come */
    bool shut;  /* and has been passed on */
};

struct carried {
    enum carried_state state;
    struct end program, server;
    struct way up, down;
    int error; /* errno with which the server's end has failed: after all that has come, the program's does; CARRIED_FAILED: to be told */
    bool asked;   /* CARRIED_FAILED: SO_ERROR of the program's socket, which the kernel tells once, has been read for it (names.c) */
    bool owed;    /* and there was one */
    bool queued;  /* in the list of those that have more to do (relay.c) */
    bool lingers; /* in that of those that wait for their end (relay.c) */

    uint64_t cookie; /* SO_COOKIE of the program's socket */
    pid_t process;
    int number; /* its descriptor when it was connected */
    enum hold_way hold;
    uint16_t port; /* the program's, over loopback */
    union address peer, local; /* as they would be natively */
    struct tls *tls; /* whose TLS is, or may be, ended here (tls.h); NULL: octets are carried as they are */
    struct notice *waiting; /* the thread that sleeps in connect(); NULL: none */
    int64_t begun; /* CLOCK_MONOTONIC ns */
    int64_t patience; /* when it has slept enough (SO_SNDTIMEO), CLOCK_MONOTONIC ns; 0: never */
    bool told; /* a connect() that does not wait has returned */
    struct carried *next; /* of the same bucket, or in a list */
    struct carried *more; /* in a list of relay.c */
    struct carried *older, *newer; /* CARRIED_FAILED, CARRIED_OVER: in the order in which they became that */
};

/* connect(). */
void carried_connect(struct notice *n);

/* The one that a program's socket is the end of, or NULL. */
struct carried *carried_of(uint64_t cookie);

/* How many there are whose names or errors a program might ask for. */
unsigned carried_known(void);
unsigned carried_failures(void);

/* How many have an end that is open. */
unsigned carried_open(void);

/* Something has happened on an end. */
void carried_event(struct end *end, uint32_t events);

/* Makes another connection to the server in the place of the one that there is, which is reset. False: that is not possible. */
bool carried_anew(struct carried *c);

/* The connection has been made: 1; not yet: 0; errno, negative, where it cannot be. */
int carried_is_made(struct carried *c, uint32_t events);

/* Why the TLS of the connection is passed through (enum ms_why of cgo/abi.h): `sessions` says so. */
void carried_tell_why(const struct carried *c, unsigned why);

/* Both ends have been closed. */
void carried_over(struct carried *c);

/* The program has been told of the failure. */
void carried_forget(struct carried *c);

/* One more descriptor of the program's socket, if it has it under the number still; -1. */
int carried_take(const struct carried *c);

uint64_t carried_cookie(int fd);

/*
 * Those of which a thread has slept long enough are told so, and attempts that the program has given up are ended: it closes a socket
 * that is not connected without anybody's being told. Milliseconds until the next look; -1: never.
 */
int carried_look(void);

/* No program is left: what was being made is for nobody. */
void carried_part(void);

/* A batch of events is over: what has been forgotten in it is given back. */
void carried_tidy(void);

/* The set of all ends, and clock. */
extern int carried_set;
int64_t now_ns(void);

#endif
