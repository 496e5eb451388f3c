/*
 * twin.h: the second session that a TLS session moves to.
 *
 * The core sends a connected socket (MS_TWIN). A thread of the shim's in the program's descriptor table makes a session of
 * the program's own library on it, shakes hands, judges the server, and then carries the core's requests and
 * the heads of the answers; of what lies beyond a head, only content that is to be compared leaves the library or the
 * stash. MS_ARM puts the twin in the place of the program's session, as it puts a socket in the place of another. Where
 * the answer is framed otherwise than what the program has begun to read, the program's read calls reframe it (reframe.h).
 */
#ifndef MIDSTREAM_TWIN_H
#define MIDSTREAM_TWIN_H

#include "framing/framing.h"
#include "framing/reframe.h"
#include "tls.h"

struct twin {
    struct twin *next;       /* in the list of those that are not in use yet */
    struct tls *session;     /* NULL: the program has ended it */
    struct tls_library *library;
    void *handle;            /* of the library; NULL: not made */
    void *context;           /* the kind's */
    int fd;                  /* -1 once it belongs to the stream */
    char name[256];          /* the server's, where it is another than the session's; "": the same */
    uint32_t slot;
    uint64_t stream, id;

    uint32_t state;
    bool asks;               /* the program's own function is to judge the server, before the twin is ready */
    bool orphaned;           /* it was to be destroyed while that ran */
    pthread_t asker;         /* the thread that it runs on ... */
    const void *asker_frame; /* ... above this */
    const char *how;         /* the server was found to be as good as the old one: a text */
    bool wants_write;
    int64_t deadline;        /* CLOCK_MONOTONIC ns of the handshake's end */

    int flow;                /* a socket by which its octets pass, both ways (flow.h); -1: they do not */
    bool more;               /* of them, some may lie in the library */
    enum tls_outcome over;   /* of the last read, where that was the last; else TLS_DATA, which is 0 */

    uint8_t *request;        /* still to be sent */
    size_t request_length;
    bool holds;              /* it waits for the hand-over */

    /* Read, but not yet taken: by the core, and after the hand-over by the program. */
    uint8_t *stash;
    size_t stash_start, stash_end, stash_room;
    struct framing answer;   /* of the answer: as far as it has been taken, or its head has been looked at */
    bool head_done;          /* the head's end has been found */
    struct ms_answer expected; /* `left` from what has been taken on */
    uint8_t *first;          /* the program is handed these before what is in the stash */
    size_t first_length;
    bool reframes;           /* what the program is handed is to be made by `frame` ... */
    bool framed;             /* ... from now on, up to the response's end */
    struct reframe frame;
    size_t clear;            /* octets of the stash that belong to heads, and may go to the core */
    uint64_t question;       /* number of the core's last question; its answer carries it */
    int64_t peek;            /* the core waits for more than so many; -1: it does not */
    int64_t take, skip;      /* it waits for octets to be passed on or thrown away; 0: not */
    enum ms_why failure;     /* of the handshake */
    char detail[MS_DETAIL];  /* of the reason why it has failed: a text */
};

/* A message of the core's about a twin, from the agent. The descriptor, if any, is taken over. */
void twin_message(struct stream *s, const struct ms_message *m, const void *data, size_t length, int fd);

/* For MS_ARM: the twin is taken off the list, its descriptor is passed to *fd. NULL: there is none that is ready. */
struct twin *twin_take(struct stream *s, uint64_t id, int *fd);

/*
 * The twin continues on the program's descriptor, and takes the place of the session it had. By the agent. True when octets
 * for the program lie decrypted in it.
 */
bool twin_swap(struct twin *w, int fd);

/* Throws away what the twin holds decrypted, if content is left beyond it; returns how many octets of content that were. */
int64_t twin_drain(struct twin *w);

/* Throws content away: how many octets of n are gone. Never blocks. */
int64_t twin_skip(struct twin *w, int64_t n);

/*
 * The program's own function judges the server of a twin that waits for it (tls->asked). By a read call of the program's on
 * the session, outside the library's call and the gate.
 */
void twin_ask(struct tls *t);

/* Those who wait for the stream are shown that a read call is wanted, for that. By the agent. */
void twin_show_question(struct stream *s);

/* Frees it with its session. NULL is allowed. */
void twin_free(struct twin *w);

/* The program has ended the session, or the core has forgotten the stream (session NULL): its twins go. */
void twin_session_gone(struct tls *t);
void twin_stream_gone(uint64_t stream);

/* How the answer's head says that what comes is to be delivered: what MS_ARM brings. */
void twin_expect(struct twin *w, const struct ms_answer *answer, bool reframes);

/*
 * Whether the answer can be continued from where the program stands: why not, or MS_WHY_NONE; then what was to be sent at the
 * hand-over has been sent. By the agent, at the answer's octet.
 */
enum ms_why twin_fits(struct twin *w, const struct ms_position *position);

/* Octets of the stash for the program; fewer than asked for if there are no more. */
size_t twin_serve(struct twin *w, void *buffer, size_t length, bool peek);

/*
 * A read call of the program's on a twin that is `framed`, which it need not be afterwards: then nothing has been read, and
 * the answer is the twin's own. Within the library's call.
 */
enum tls_outcome twin_read_framed(struct twin *w, struct tls_data *data);

/* Octets for the program that need nothing more from the connection. */
size_t twin_pending(struct twin *w);

/* A read call of the program's would not wait: there are such octets, or it would be told of the end. */
bool twin_is_ready(struct twin *w);

/* It has been told of the end, though the connection is not at its own. */
bool twin_is_spent(const struct twin *w);

/* In a forked child. */
void twin_forget(void);

#endif
