/*
 * stream.h: the record of one tracked descriptor, and what the hooks do with it.
 *
 * Life of a record:   socket() marks the number FRESH, connect() makes it a candidate, the first write
 * decides: HTTP, or left alone for good (the number's entry in the table becomes empty). A stream with a GET
 * is opened, which loads the core. Records are never freed; a slot is used again once the
 * program has closed the descriptor and the core has forgotten the stream.
 *
 * Rules for the hooks: no lock is held across a call of the C library (wget leaves connect by siglongjmp),
 * errno is kept, a few hundred octets of stack, and no malloc but for TLS sessions (tls/), whose library allocates in the same call.
 * A record is changed by
 *   - the thread inside a call on the descriptor (`out` by the writer, `in` by the reader),
 *   - the agent (handover/), and whoever takes the turn of a connection attempt (attempt.c), only while the gate is closed and nobody is
 *     inside.
 * Memberships in epoll sets are changed by epoll_ctl() and the waits, one at a time (memberships.h), and by those two.
 */
#ifndef MIDSTREAM_STREAM_H
#define MIDSTREAM_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "../../cgo/abi.h"
#include "attempt_state.h"
#include "caller.h"
#include "connection.h"
#include "dialogue.h"
#include "exchanges.h"
#include "framing/framing.h"
#include "framing/hello.h"
#include "gate.h"
#include "memberships.h"
#include "process/clock.h"
#include "process/own.h"
#include "quiet.h"
#include "waits.h"

struct tls;
struct twin;

/* Descriptors from here on are never tracked. */
#define STREAM_TABLE OWN_TABLE

enum stream_stage {
    STAGE_FREE,
    STAGE_CANDIDATE, /* nothing has been written yet */
    STAGE_HTTP,      /* requests have been seen, but no GET */
    STAGE_OPEN,      /* known to the core */
    STAGE_LEFT,      /* known to the core, but not moved any more */
    STAGE_CLOSED,    /* the program has closed it, the core has not yet released it */
    STAGE_PARTING,   /* one thread is about to make it STAGE_FREE */
};

struct stream {
    uint32_t slot; /* which record it is */
    struct ms_counters *counters;
    _Atomic uint64_t id; /* the agent compares it while another thread may take the record */
    int fd;
    _Atomic uint32_t stage;

    struct gate gate;
    struct callers callers;
    struct waits waits;
    _Atomic uint64_t shown;      /* octets that a look ahead (MSG_PEEK) has shown, and that have not been read since */
    _Atomic uint32_t generation; /* how often the descriptor has been given another socket */

    struct exchanges exchanges;
    struct framing out, in;          /* where the request and the response in progress are */
    struct quiet quiet;              /* the exchange that the core has not been told of */
    struct dialogue dialogue;        /* what it is of FTP's (ftp/) */
    _Atomic int32_t blocking;        /* enum stream_blocking */
    _Atomic int32_t waiting;         /* what that is, or would be, without O_NONBLOCK */
    _Atomic uint32_t resuming;       /* a hand-over took place; nothing has been read since */

    /* What lies over the connection (tls.h). */
    _Atomic(struct tls *) tls; /* the session, NULL while none is known */
    _Atomic uint32_t pending;  /* there is pending plaintext: octets decrypted by its twin, of which the socket tells nothing to those who wait */
    bool opaque;               /* the descriptor's own octets are not HTTP */
    bool http_over_tls;        /* its ClientHello offers HTTP, or nothing, on a port where that may be meant */
    char tunnel[264];          /* host:port that a proxy was asked to CONNECT to, "" none */
    char host[HELLO_NAME];     /* the server's name in a ClientHello of a library that is not known, "" none */

    /* The connection behind the descriptor. */
    struct connection present, kept, next;
    bool here;          /* the peer is this host, where no other interface leads */
    uint32_t forks;     /* the process's count of children at the opening */
    uint32_t forks_told; /* the same when the core asked last whether there are any */
    _Atomic uint32_t stepping; /* calls that are not reads are about to step over chunk framing */
    bool moved;         /* the names below are what the program believes in */
    int domain;
    struct sockaddr_in6 peer, local; /* before the stream is open, peer is what connect() was given */
    int held_error;            /* errno with which a connection has ended that is held, 0 for FIN */
    _Atomic int pending_error; /* errno that the next read reports, 0 none */
    _Atomic uint32_t untold;   /* STAGE_CLOSED: the core has still to be told */
    struct memberships memberships; /* in epoll sets */
    bool bound; /* the program has said by itself where it goes out */
    unsigned passes; /* why the supervisor passes its TLS through (enum ms_why) */
    int carried_pid, carried_fd; /* the process that the connection is for, and its descriptor (carried.h); 0: this one */

    struct attempt attempt; /* to `peer` */

    /* A hand-over that has been asked for (handover/). */
    _Atomic uint32_t armed;
    uint64_t arming;    /* its number, 0 none */
    struct ms_handover asked; /* what it is to be; `at` goes on where an overlap is dropped */
    uint64_t arm_exchange; /* the exchange that it holds for */
    bool restores;      /* the kept connection is put back (MS_GIVE_UP), whatever has become of the exchange */
    int64_t gate_closed_at, deadline, roused_at;
    bool woken;         /* SHUT_RD has been used to wake blocked readers: the connection cannot go on */
    bool decided;       /* nothing refuses the hand-over any more */
    bool still;         /* nothing arrives on the present socket (still.h) */
    _Atomic(struct stream *) due_next;
    _Atomic uint32_t due;
    struct stream *pending_next;
};

/* Whether a read of the descriptor waits. */
enum stream_blocking {
    BLOCKING_UNKNOWN = -1, /* to be asked for */
    BLOCKING_NEVER,        /* O_NONBLOCK */
    BLOCKING_ANY,          /* until there is an octet */
    BLOCKING_MORE,         /* until there are several (SO_RCVLOWAT) */
};

/* Marks in the table that are not records. */
#define STREAM_FRESH ((struct stream *)1)   /* a TCP socket that has not been connected */
#define STREAM_DNS ((struct stream *)2)     /* a socket that speaks to port 53 */
#define STREAM_BOUND ((struct stream *)3)   /* like FRESH, but the program has said by itself where it goes out */

extern _Atomic(struct stream *) stream_table[STREAM_TABLE];

/* Streams with a record that the core knows; while 0, poll and epoll cost one load more than without. */
extern _Atomic uint32_t stream_open_count;

static inline struct stream *stream_entry(int fd)
{
    return (unsigned)fd < STREAM_TABLE ? atomic_load_explicit(&stream_table[fd], memory_order_acquire) : NULL;
}

/* The record of a descriptor, or NULL: the one test that every call of an untracked descriptor pays. */
static inline struct stream *stream_of(int fd)
{
    struct stream *s = stream_entry(fd);
    return (uintptr_t)s > 3 ? s : NULL;
}

/* Calls that sleep in poll() or select() on it. */
static inline uint32_t stream_sleepers(const struct stream *s)
{
    return (uint32_t)atomic_load(&((struct stream *)s)->waits.sleepers);
}

/* None, from now on: calls on the record's former streams that have still to leave do not count. */
static inline void stream_no_sleepers(struct stream *s)
{
    atomic_store(&s->waits.sleepers, s->id << 32);
}

static inline void stream_mark(int fd, struct stream *mark)
{
    if ((unsigned)fd < STREAM_TABLE) {
        atomic_store_explicit(&stream_table[fd], mark, memory_order_release);
    }
}

/* All records that have ever been used, for sweeps. */
struct stream *stream_slot(uint32_t slot);
uint32_t stream_slots_used(void);

/* A candidate for the descriptor, or NULL when there is none to be had. Replaces what was in the table. */
struct stream *stream_new(int fd, int domain);

/* The program has closed the descriptor, or put something else on it. */
void stream_closed(struct stream *s);

/* The stream is left alone from now on; for that reason. */
void stream_leave(struct stream *s, enum ms_why why);

/* The first GET: from here on the core knows the stream. False: it does not. */
bool stream_open(struct stream *s);

/*
 * A connection may fail before the core has seen the request, and decided whether it is guarded: it is told, and decides then.
 * The first one may even fail before the core is there.
 */
void stream_guard_early(struct stream *s);

/* Changes the stage of a stream that the core knows, or does not know yet. False: it is not that, or another thread was first. */
bool stream_advance(struct stream *s, bool known, uint32_t to);

/* A stream that the core does not know is forgotten. */
void stream_abandon(struct stream *s);

/* Closed streams of which the core could not be told, because it was behind; tells it now. By the agent. */
extern _Atomic uint32_t stream_untold_count;
void stream_tell_closed(void);

/* The core has forgotten the stream. */
void stream_release(struct stream *s);

#endif
