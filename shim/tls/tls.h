/*
 * tls.h: TLS sessions of the program, seen at their library's interface.
 *
 * A session is the library's handle (SSL *, gnutls_session_t) together with the stream below it. What the program
 * writes to and reads from the handle is HTTP in the clear and is tracked as on a plain stream; what the
 * library itself sends and receives on the descriptor meanwhile is not looked at.
 *
 * A session moves by a twin (twin.h): a second session of the same library with the new server. From the
 * hand-over on, the calls that carry data work on the twin, all others on the program's own handle.
 *
 * Midstream is linked to no TLS library. The functions of each copy that a program uses are looked up when its
 * first call arrives, through the library that calls: one that was opened with RTLD_LOCAL is visible to nobody else (finding/library.h).
 */
#ifndef MIDSTREAM_TLS_H
#define MIDSTREAM_TLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "membio.h"
#include "stream/over.h"
#include "stream/stream.h"

struct twin;
struct tls;
struct tls_data;

#define CALL(result, name, parameters) TLS_CALL_##name,
enum tls_call {
#include "tls.def"
    TLS_CALL_COUNT
};
#undef CALL

#define CALL(result, name, parameters)               \
    __attribute__((visibility("default"))) result name parameters; \
    typedef result(*name##_function) parameters;
#include "tls.def"
#undef CALL

/* One loaded copy of a TLS library. Never unloaded once it is known. */
struct tls_library {
    const struct tls_kind *kind;
    const void *base;              /* where it is loaded */
    void *object;                  /* dlopen's handle */
    void *calls[TLS_CALL_COUNT];   /* its own functions behind the hooks */
    void **functions;              /* others that its kind needs, in the kind's order */
    char name[48];                 /* with version, for lists */
    int index;                     /* OpenSSL: of the session in the handle's ex_data */
    int choices, context_choices;  /* likewise: of the lists chosen for a handle, or for a context */
    bool complete;                 /* sessions can be followed, and twins made */
};

/* The library that this thread has called last. */
extern _Thread_local struct tls_library *tls_last;
static inline struct tls_library *tls_call_of(struct tls_library *library)
{
    tls_last = library;
    return library;
}

/* The library's function behind a hook. */
#define TLS_REAL(library, call) ((call##_function)tls_call_of(library)->calls[TLS_CALL_##call])

/* What a data call came to. */
enum tls_outcome {
    TLS_DATA,  /* octets were carried, or none were asked for */
    TLS_AGAIN, /* nothing now; the program is to try again */
    TLS_END,   /* the peer has ended the session in the proper way (close_notify) */
    TLS_BAD,   /* the session has failed */
};

/* What the core is told of a session. */
struct tls_facts {
    const char *version;
    char alpn[32];
    char name[256]; /* server name sent, "" none */
};

/* What differs between the libraries. Handles are the library's own pointers. */
struct tls_kind {
    const char *const *files;         /* how the names of its objects' files begin; NULL at the end */
    const char *const *prefixes;      /* how the names of its functions begin; "": like those of no other kind; NULL at the end */
    const char *const *functions;     /* names, NULL at the end; those after an empty string may be missing */
    /* A copy has been found; sets its name, and `complete` where all is there. */
    void (*loaded)(struct tls_library *library);
    bool (*hello)(struct tls_library *library, void *handle, uint8_t *random); /* of a client's session: the random octets of its ClientHello */
    void (*begun)(struct tls *t); /* a session is known from now on */
    void (*describe)(struct tls *t, struct tls_facts *facts);
    /* Takes references to all that a twin needs. On the program's thread, which is in no other call on the handle. */
    void (*capture)(struct tls *t);
    void (*refresh)(struct tls *t);   /* a newer ticket may have come; cheap if not */
    void (*release)(struct tls *t);   /* drops those references */
    bool (*clear)(const struct tls *t); /* the session's calls can be fed in the clear (clear.h); NULL: none can */
    /* What a data call that never reached the library has to say: sets data->raw and the session's `said`. */
    void (*say)(struct tls_data *data, bool writing);
    size_t (*pending)(struct tls_library *library, void *handle);
    /* Reads decrypted octets. TLS_DATA: *done > 0. */
    enum tls_outcome (*read)(struct tls_library *library, void *handle, void *buffer, size_t length, size_t *done);
    enum tls_outcome (*write)(struct tls_library *library, void *handle, const void *octets, size_t length, size_t *done);
    /* Makes the twin's handle on the twin's descriptor, from what was captured. Why it cannot be, or MS_WHY_NONE. */
    enum ms_why (*make)(struct twin *w, struct tls *t);
    enum tls_outcome (*handshake)(struct twin *w, bool *wants_write);
    /*
     * After the handshake: why the new server is not to be trusted as the old one was, or MS_WHY_NONE; *how says why it is. Sets the
     * twin's `asks` where the program has a function of its own, which has the last word.
     */
    enum ms_why (*judge)(struct twin *w, const char **how);
    /* Has that function judge, within a read call of the program's and with no lock held: it may do anything. */
    bool (*ask)(struct tls *t, struct twin *w);
    /* Which server a captured session can be moved to. */
    enum ms_needs (*needs)(const struct tls *t);
    void (*facts)(struct twin *w, struct tls_facts *facts);
    void (*attach)(struct twin *w, int fd); /* it continues on another number for the same connection */
    void (*destroy)(struct twin *w);

    /*
     * The memory that a handle works on in the place of a descriptor (membio.h). `memory` is NULL where the library knows no
     * such thing, and answers NULL for a handle that has none. `out`: that which the library writes to.
     */
    const void *(*memory)(struct tls_library *library, void *handle);
    size_t (*memory_look)(struct tls_library *library, void *handle, void *octets, size_t length);
    ssize_t (*memory_read)(struct tls_library *library, void *handle, void *octets, size_t length); /* 0: the end, -1: none now */
    ssize_t (*memory_write)(struct tls_library *library, void *handle, const void *octets, size_t length);
    uint64_t (*memory_put)(struct tls_library *library, void *handle, bool out); /* how many octets ever */
    uint64_t (*memory_taken)(struct tls_library *library, void *handle, bool out);
    void (*adopt)(struct twin *w, void *handle); /* the twin continues on that handle's memory */
};

extern const struct tls_kind tls_openssl, tls_gnutls, tls_nss;

/* All of them, that without a prefix at the end; then NULL. */
extern const struct tls_kind *const tls_kinds[];

struct tls {
    void *handle;
    struct tls_library *library;
    _Atomic(struct stream *) stream; /* NULL: none known, or the program has closed it */
    uint64_t stream_id;
    struct twin *_Atomic live;       /* data calls go here, NULL: to the handle */
    _Atomic int plain_fd;            /* data calls work on this descriptor, in the clear (clear.h); -1: they do not */
    _Atomic bool fed;                /* what comes there is what the program reads */
    bool saw_end;                    /* the program has been told of the end there */
    size_t gone;                     /* so much has gone out there of what the program has to write again */
    int said;                        /* what the last such call came to, in the library's terms; 0: it was none */
    void *last;                      /* the handle that the last data call went to */
    void *noted;                     /* the kind's: what the program has set, where the library does not tell */
    void *captured;                  /* the kind's, for twins; NULL: not captured */
    _Atomic uint32_t spoilt;         /* enum ms_why: why it cannot be followed */
    _Atomic uint32_t corked;         /* the library keeps what was written until it is told to send it */
    _Atomic uint32_t busy_writing;   /* a write was put off and has to be repeated by the program */
    /* A failure of the socket that was kept from the library while it might be mended: to be shown to it. */
    bool judges;                     /* twins may have to wait for the program's own function ... */
    bool judge_left;                 /* ... which was left, by siglongjmp or an exception */
    _Atomic uint32_t asked;          /* it is to judge a twin's server, by the next call that reads, or is at it */
    bool replay;
    int replay_error;                /* errno, 0 for an end of file */
    /* Of the read call that counts (stream.h: alone): failures that are kept back from the library. */
    struct tls_kept {
        bool reading;        /* they are to be */
        bool asked;          /* the call has been broken off: the program's own function is to judge a new server first */
        bool failed;         /* one was, and not because the agent woke the call */
        unsigned count;      /* how many were, in all */
        int error;           /* errno of the first, 0 for an end of file */
        uint32_t generation; /* of the stream, when the call began */
    } kept;
    struct membio membio;
    struct tls *next;                /* tls.c's, once the session has gone */
};

/*
 * The call into a TLS library that this thread is in: what it has called is the library's own. It may be left by siglongjmp(3), an
 * exception or a switch of stacks, and then lasts until something shows that; so it is kept by value, and means nothing but
 * its own session, and the stream below that.
 */
struct tls_frame {
    uintptr_t at; /* on the stack: whatever the library calls lies below; 0: no call */
    struct tls_library *library; /* NULL: Midstream's own work on twins */
    void *handle;
    struct tls *session;
};

extern _Thread_local struct tls_frame tls_now;

/* That call, or NULL. */
static inline struct tls_frame *tls_inside(void)
{
    if (tls_now.at && tls_now.at <= (uintptr_t)__builtin_frame_address(0)) {
        tls_now.at = 0; /* it has been left for good */
    }
    return tls_now.at ? &tls_now : NULL;
}

/* Midstream itself is at work: not the program. */
static inline bool tls_is_at_work(void)
{
    return tls_now.at && !tls_now.library && tls_inside();
}

/* The descriptor below that call's session, -1: unknown. */
int tls_inside_fd(void);

/*
 * Whether a hook's call comes from within one on the same handle, or from Midstream's own work. `caller`: where from, for a call that nobody but
 * the library itself makes there; NULL: the program's callbacks may make it as well.
 */
bool tls_is_nested(const void *handle, const struct tls *t, const void *caller);

/* Whether the process has a TLS library that is known here (finding/library.c). Asks the dynamic linker. */
bool tls_is_there(void);

/* Whether an address is a TLS library's, or Midstream's (finding/library.c). */
bool tls_is_code(const void *address);

/* Around a library's call. `before` keeps the one that this thread is in already. */
void tls_begin(struct tls_frame *before, struct tls_library *library, void *handle, struct tls *t);
void tls_end(const struct tls_frame *before);

/* The program ends its side of the session: a response that is still under way goes on, but on no other connection. NULL is allowed. */
void tls_half_closed(struct tls *t);

/* In a forked child: which library who means is to be found out anew (finding/library.c). */
void tls_library_forget(void);

/* The session of a handle, or NULL: a table look-up. */
struct tls *tls_find(const void *handle);

/* The handle's session, made if there is none. NULL when memory or table are exhausted. */
struct tls *tls_get(struct tls_library *library, void *handle);

/* The library is about to free the handle: session and twins are gone when this returns. */
void tls_gone(struct tls *t);

/* Guards what sessions have captured, and their ties to streams and twins. Not held while octets are moved. */
extern pthread_mutex_t tls_mutex;

/* What the library is to see of a read of its own: a failure that may be mended becomes EAGAIN. */
ssize_t tls_own_result(struct stream *s, ssize_t result);

/* A failure that is to be shown to the library instead of reading: true, with the result and errno set. */
bool tls_own_replay(struct stream *s, ssize_t *result);

/* The stream below the session, if it is still the same. */
struct stream *tls_stream(const struct tls *t);

/* Ties a session to the stream below it. With tls_mutex. */
void tls_tie(struct tls *t, struct stream *s);

/*
 * A data call of the program's. `carry` makes the library's call on the handle, with the length it is given, and
 * returns what came of it; *done is how many octets were carried. These two track it, and repeat it after a hand-over.
 */
struct tls_data {
    struct tls *t; /* NULL: not known yet */
    struct tls_library *library;
    void *handle; /* to work on: set for each try */
    void *buffer;
    size_t length, done;
    bool peek;
    bool retry; /* the try follows a hand-over */
    bool whole; /* the program does not take a part for a success */
    enum tls_outcome outcome;
    ssize_t raw; /* the library's own result, for the program */
};

typedef enum tls_outcome tls_carry(struct tls_data *data);

void tls_read(struct tls_data *data, tls_carry *carry);
void tls_write(struct tls_data *data, tls_carry *carry);

/*
 * A call that may have shaken hands, on a session of no stream, is over: the stream that it is known to have below it now. `again`: it has
 * not come to its end.
 */
struct stream *tls_look_below(struct tls_library *library, void *handle, struct tls *t, bool again);

/* Another call of the program's: holds the session still, and says which handle is meant. t may be NULL. */
struct tls_present {
    struct tls_frame before;
    struct stream *held;
};
void *tls_enter(struct tls_present *present, struct tls_library *library, struct tls *t, void *handle);
void tls_leave(struct tls_present *present);

/*
 * The same for a question that programs ask between any two reads. The gate is passed only where it is closed, for then what
 * the program's own session still has may never be read, or where that is not the session any more: a hand-over may as well
 * come just after the answer.
 */
void *tls_enter_to_look(struct tls_present *present, struct tls_library *library, struct tls *t, void *handle);

/* The descriptor carries the stream in the clear from now on: one end of a pair, which the core feeds or not; -1: not. By the agent. */
void tls_plain(struct tls *t, int fd, bool fed);

/* Data calls work on a descriptor in the clear. NULL is allowed. */
static inline bool tls_is_clear(const struct tls *t)
{
    return t && atomic_load_explicit((_Atomic int *)&t->plain_fd, memory_order_acquire) >= 0;
}

/* Data calls go to the program's own handle, with nothing of Midstream's in between. */
static inline bool tls_is_own(const struct tls *t)
{
    return !atomic_load_explicit((struct twin *_Atomic *)&t->live, memory_order_acquire)
        && atomic_load_explicit((_Atomic int *)&t->plain_fd, memory_order_relaxed) < 0
        && !atomic_load_explicit((_Atomic bool *)&t->membio.on, memory_order_relaxed);
}

/*
 * Octets that the program can read without any that have still to come, where the library has `own` of them; t may be
 * NULL. Between tls_enter and tls_leave.
 */
size_t tls_pending(const struct tls *t, size_t own);

/* The program has been told that the peer has ended the session, which the library does not know of. */
bool tls_is_spent(const struct tls *t);

/* Whether the same issuer and the same names make another certificate that of the same server (tls.identity): the core has said so. */
bool tls_goes_by_issuer(void);

/* "h2" is taken out of an ALPN list (RFC 7301 §3.1) that has "http/1.1" too. True if `kept` holds the new list. */
bool tls_without_h2(const unsigned char *list, size_t length, unsigned char *kept, size_t *kept_length);

#endif
