/*
 * abi.h: the whole contract between the shim (C, in the program's descriptor table) and the core
 * (Go, in a descriptor table of its own).
 *
 * They share two things: memory that holds counters and no pointers, and one SOCK_SEQPACKET socket pair that carries
 * the messages below, at most one a datagram, with at most one descriptor attached (SCM_RIGHTS).
 * A message is a struct ms_message followed by its data. Nothing here is in network byte order:
 * both ends live on one machine. What a core needs that lives in the program's process is in guest.h.
 */
#ifndef MIDSTREAM_ABI_H
#define MIDSTREAM_ABI_H

#include <stdatomic.h>
#include <stdint.h>
#include <netinet/in.h>

#define MS_ABI_VERSION 1

/* Streams that one process can have tracked at once; more are left alone. */
#define MS_SLOTS 8192

/* Interfaces of which the order is told. */
#define MS_ORDER 8
/* Set in one of them: octets cost more there than over another that can be used. */
#define MS_ORDER_COSTS 0x80000000U

/* The longest data of one message; longer heads travel in pieces. */
#define MS_DATA_MAX 8192

/* No octet is held back: the value of ms_counters.stop_at while nothing is armed. */
#define MS_NO_STOP INT64_MAX

/* Where a message is being read, as the program has seen it (ms_counters.phase, ms_position.phase). */
enum ms_phase {
    MS_IDLE = 0,       /* no request is waiting for its answer */
    MS_HEAD,           /* in the response's head, or before its first octet */
    MS_LENGTH,         /* in content delimited by Content-Length */
    MS_CLOSE,          /* in content delimited by the end of the connection */
    MS_CHUNK_SIZE,     /* in a chunk-size line (RFC 9112 §7.1), before any extension */
    MS_CHUNK_EXT,      /* in a chunk extension */
    MS_CHUNK_SIZE_LF,  /* between CR and LF of a chunk-size line */
    MS_CHUNK_DATA,     /* in chunk-data */
    MS_CHUNK_DATA_CR,  /* before the CR that ends chunk-data */
    MS_CHUNK_DATA_LF,  /* between CR and LF after chunk-data */
    MS_TRAILER,        /* in the trailer section */
    MS_BROKEN,         /* not understood: left alone for good */
};

/* What becomes of a connection that ends before the core has decided (ms_counters.guard). */
enum ms_guard {
    MS_GUARD_NONE,
    MS_GUARD_FAILURES, /* the program is held where it breaks a response off */
    MS_GUARD_ENDS,     /* and where a response without a length ends with it, for that is no end (core/live) */
};

/* The longest representation, in octets, that all of what has been received of it proves. */
#define MS_WHOLE_MAX (8 << 20)

/* Octets of each content's beginning that are kept with its tail: what says how the rest is to be read. */
#define MS_BEGINNING 4096

enum ms_keep {
    MS_KEEP_NEVER,  /* there was no memory for it */
    MS_KEEP_CHEAP,  /* while its copies are hardly felt */
    MS_KEEP_ALWAYS, /* the core is about to compare it */
};

/*
 * One stream's counters. The shim writes them, the core reads them at any time; it also sets `guard`, `keep` and `called_off`.
 * `exchange` is written before and after the others, so a reader that finds it changed reads again.
 */
struct ms_counters {
    _Atomic uint64_t stream;   /* the stream's id, 0 while the slot is free */
    _Atomic uint64_t exchange; /* number of the exchange whose response is being read, from 1 */
    _Atomic uint64_t received; /* octets of content the program has been handed in it */
    _Atomic uint64_t head;     /* octets of its response head the program has been handed so far */
    _Atomic int64_t stop_at;   /* content offset that the present connection may not pass */
    _Atomic uint32_t phase;    /* enum ms_phase */
    _Atomic uint32_t guard;    /* enum ms_guard: hold the program when this connection fails; the core decides (ms_shared.guard_new) */
    _Atomic uint32_t keep;     /* enum ms_keep: whether a tail of the content is kept */
    /*
     * The last octets of content that the program has been handed, octet n at tails[tail_at + n % tail_size]: those from
     * tail_from on, up to `received`. Those before tail_end - tail_size are being written over. 0 tail_size: there are none.
     */
    _Atomic uint32_t tail_size;
    _Atomic uint64_t tail_at, tail_from, tail_end;
    /* So many of the content's first octets stand behind those, at tails[tail_at + tail_size], and stay: MS_BEGINNING at most. */
    _Atomic uint32_t beginning;
    /* The digest of the exchange's content up to the octet digest_at (shim/framing/digest.h), where one is made (ms_shared.digest_keys). */
    _Atomic uint64_t digest_at, digest[2];
    /* An exchange that the core has not been told of: twice its number, plus 1 once it is over; 0 none. MS_ASK has it told. */
    _Atomic uint64_t quiet;
    _Atomic uint64_t called_off; /* set by the core: armings up to this number are not to be carried out any more */
};

/* What the core is given when it is started, and keeps for the life of the process. */
struct ms_shared {
    uint32_t version;
    int32_t pid;
    /* Set by the core before and after it sends a message: the agent may have to be started to receive it. */
    _Atomic uint32_t wanted;
    struct ms_counters counters[MS_SLOTS];
    /* Set by the core once its control socket listens; unlinked by the shim at exit. */
    char control_path[108];
    /* Set by the core: the interface that this process's new connections are bound to, or one of the two below. */
    _Atomic uint32_t use_index;
    /* Set by the core: interfaces for connections that are to be made, best first; 0 ends the list. */
    _Atomic uint32_t order[MS_ORDER];
    /* Set by the core with the first `guard`: requests are guarded from their first octet on, before it has seen them. */
    _Atomic uint32_t guard_new;
    /* Set by the core while it looks at the counters by itself, many times a second: exchanges need not be told of before it asks. */
    _Atomic uint32_t looks;
    /* Set by the core: the same issuer makes another certificate that of the same server (tls.identity). */
    _Atomic uint32_t by_issuer;
    /* Set by the shim where migration.proof is "whole": of the first MS_WHOLE_MAX octets of each response there is a digest. */
    _Atomic uint64_t digest_keys[2];
};

#define MS_USE_ALL 0U           /* what holds for all processes: shim/network/use.h */
#define MS_USE_NONE 0xffffffffU /* none */

enum ms_kind {
    /* From the shim. */
    MS_OPENED = 1, /* a stream's first GET. data: struct ms_opened */
    MS_REQUEST,    /* octets of a request head; MS_LAST on its last piece */
    MS_RESPONSE,   /* octets of a response head; MS_LAST on its last piece, a: phase that follows,
                      b: Content-Length or -1; MS_INTERIM: the head was a 1xx, another one follows */
    MS_DONE,       /* the response has been read to its end; a: received */
    MS_LEFT,       /* the stream is left alone from now on. data: struct ms_reason */
    MS_CLOSED,     /* the program closed the descriptor; b: exchanges that are over. Answered by MS_RELEASE */
    MS_FAILED,     /* the connection ended too early; a: errno, 0 for FIN, or where a wait has met an error; b: received.
                      MS_HELD: the program waits for the answer, MS_PARK or MS_GIVE_UP */
    MS_MOVED,      /* an MS_ARM was carried out. data: struct ms_position at the hand-over; b: 1 if SHUT_RD had to be
                      used on the former connection, which cannot be read on then. MS_KEPT: the former one is kept */
    MS_UNMOVED,    /* an MS_ARM was not carried out. data: struct ms_reason */
    MS_RESUMED,    /* the program was handed the first octets after a hand-over; a: nanoseconds since
                      it had been handed the last ones before it */
    MS_INFO,       /* the answer to MS_ASK. data: struct ms_info */
    MS_NAME,       /* getaddrinfo answered. data: the name, NUL, then 16-octet addresses
                      (IPv4 as ::ffff:a.b.c.d) */
    MS_DNS,        /* a DNS response the program received on a socket of its own. data: RFC 1035 §4 */
    MS_TRAILER_OCTETS, /* octets of a trailer section whose end the program has not yet been handed */
    MS_DIALOGUE, /* octets of an FTP control connection; a: 1 the program's, 0 its server's */
    MS_STIRS, /* the program was handed octets after a second or more without; only where `guard` is set */

    /* From the shim, of TLS; b is the twin's number where there is one. */
    MS_TLS = 24,     /* after MS_OPENED, the stream carries TLS. data: five texts, each ended by NUL: library,
                        version, ALPN result, server name, host:port of a CONNECT; a: 1 if a twin can be made; b: enum ms_needs */
    MS_TWIN_READY,   /* the answer to MS_TWIN. data: version, ALPN result, how the server was judged; ended by NUL */
    MS_TWIN_FAILED,  /* the twin is of no further use. data: struct ms_reason */
    MS_TWIN_OCTETS,  /* the answer to MS_TWIN_PEEK and MS_TWIN_READ. data: octets; MS_LAST: no more will come;
                        MS_TRAILING: of the trailer section */
    MS_TWIN_SKIPPED, /* the answer to MS_TWIN_SKIP */
    MS_TWIN_ASKS,    /* before MS_TWIN_READY: the program's own function has to judge the server, in the next call that reads */

    /* From the core. */
    MS_ARM = 32,   /* put the attached socket on the stream's descriptor. data: struct ms_handover; exchange: the one it holds for */
    MS_DISARM,     /* forget an MS_ARM that has not been carried out; answered by MS_UNMOVED if so */
    MS_GIVE_UP,    /* let the held program see how its connection ended; a: errno, 0 for FIN */
    MS_ASK,        /* send MS_INFO; a: 1 if armings are to follow, which hold as long as the process does not fork */
    MS_RELEASE,    /* the core has forgotten the stream: its slot may be used again */

    /* From the core, of TLS; b is the twin's number, exchange that of a question, which its answer repeats. */
    MS_TWIN = 48,  /* make a twin of the stream's TLS session on the attached socket. data: the server's name, where that is another
                      than the session's: then the certificate has to be one for it, and nothing that the program writes goes there */
    MS_TWIN_WRITE, /* send it the data; MS_HELD: when it takes the session's place, not before */
    MS_TWIN_PEEK,  /* tell what has come, without taking it, as soon as it is more than a octets; only of heads */
    MS_TWIN_READ,  /* take up to a octets, and pass them on */
    MS_TWIN_SKIP,  /* throw a octets away, as they come */
    MS_TWIN_CLOSE, /* it is not needed */
    MS_TWIN_PUT,   /* the program is to be handed the data before what comes on the connection */
    MS_TWIN_SHOW,  /* the program, if it sleeps, is shown that a call that reads is wanted (MS_TWIN_ASKS) */
    MS_TWIN_FLOW,  /* what the peer sends passes to the attached socket, and what comes from there to the peer, as it is, until the
                      twin takes the session's place. Its end is told by MS_TWIN_OCTETS with MS_LAST, or MS_TWIN_FAILED */
};

enum ms_flag {
    MS_LAST = 1 << 0,
    MS_INTERIM = 1 << 1,
    MS_HELD = 1 << 2,
    MS_KEPT = 1 << 3,
    MS_TRAILING = 1 << 4,
    MS_CLEAR = 1 << 5, /* of MS_TLS: the program's calls take what a pair on its descriptor brings for octets of its session */
};

/* Which server a TLS session can be continued with. */
enum ms_needs {
    MS_NEEDS_NAME,           /* any that verifies for its name */
    MS_NEEDS_CERT_EXAMINED,  /* one with the same certificate, for the program looks at certificates itself */
    MS_NEEDS_KEY_EXAMINED,   /* one with the same public key, for the same reason */
    MS_NEEDS_KEY_JUDGED,     /* the same, for the program verifies certificates itself, while it shakes hands */
    MS_NEEDS_JUDGEMENT,      /* one that the program's own verification takes */
    MS_NEEDS_KEY_UNVERIFIED, /* one with the same public key, or issuer (ms_shared.by_issuer): the program verifies nothing */
};

struct ms_message {
    uint16_t kind;     /* enum ms_kind */
    uint16_t flags;    /* enum ms_flag */
    uint32_t slot;
    uint64_t stream;   /* the id the slot had: a message for another one is stale and dropped */
    uint64_t exchange;
    int64_t a, b;
    uint64_t arming;   /* number of the stream's MS_ARM, from 1, which MS_MOVED and MS_UNMOVED answer and MS_DISARM means */
};

/* Why something cannot be: why.def. */
enum ms_why {
    MS_WHY_NONE = 0,
#define WHY(code, retry, text) MS_WHY_##code,
#include "why.def"
#undef WHY
};

#define MS_DETAIL 508

struct ms_reason {
    uint32_t why;           /* enum ms_why */
    char detail[MS_DETAIL]; /* what its text has in the place of %s, as long as the message is */
};

struct ms_opened {
    int32_t fd;
    int32_t domain;   /* AF_INET or AF_INET6 */
    int32_t protocol; /* IPPROTO_TCP or IPPROTO_MPTCP */
    struct sockaddr_in6 peer, local; /* or a sockaddr_in in the same place */
    int32_t carried_pid, carried_fd; /* the process that the connection is made for, and its descriptor; 0: this one */
    uint32_t dialogue; /* it is an FTP control connection */
    uint64_t control;  /* the stream of the FTP control connection whose data connection it is, 0: it is none */
};

/* Exactly where the program stands in the response, for a relay that has to continue its framing. */
struct ms_position {
    uint64_t received;
    uint64_t chunk_left;   /* MS_CHUNK_DATA: octets of the chunk not yet read */
    uint64_t chunk_size;   /* MS_CHUNK_SIZE: value of the digits read so far */
    uint32_t chunk_digits; /* how many digits those were */
    uint32_t phase;        /* enum ms_phase */
    uint32_t line;         /* MS_TRAILER: octets read of the present line */
    uint32_t cr;           /* MS_TRAILER: the line so far ends in CR */
    uint64_t unchunked;    /* of the connection before it, where that had a `chunk`: octets of its chunk not yet read; 0: the
                              line end of one is next */
};

/* What a twin's connection brings. */
struct ms_answer {
    int64_t left;    /* octets of content from the offset on to the response's end, -1 unknown */
    uint32_t longer; /* the answer goes on after `left` */
    uint32_t whole;  /* it is that to the request itself, so that its trailer section is that of the response */
};

/* What is put on the descriptor. */
enum ms_what {
    MS_SOCKET,  /* the attached socket, a connection to a server */
    MS_PAIR,    /* the attached socket, one end of a pair that the core feeds */
    MS_SESSION, /* a twin, with the socket that it has */
};

/* Where in the response what is put there goes on. */
enum ms_place {
    MS_IN_CONTENT, /* at the content offset `at`. A program that stands inside a trailer field keeps its connection, unless MS_KEEP */
    MS_IN_HEAD,    /* after `at` octets of the head */
    MS_IN_TRAILER, /* after `at` octets of the head and the trailer section */
    MS_AT_END,     /* when the response has been read to its end, and no other is due */
};

/* When it is put there. */
enum ms_when {
    MS_THEN, /* when the program has come to the place; the former connection delivers up to there */
    MS_NOW,  /* at once; if that is not the place, not at all, but that a program farther in content is served from where it stands */
    MS_THERE, /* as MS_THEN, but nowhere else: a program that has got farther meanwhile keeps its connection */
};

/* What becomes of the connection that was there. */
enum ms_former {
    MS_RESET, /* it is of no more use */
    MS_KEEP,  /* it is kept for an MS_GIVE_UP */
    MS_SPARE, /* it is closed, not reset: the core goes on with it */
    MS_PARK,  /* it is of no more use, and the pair is a place to wait in: what comes there is not for the program */
};

/* What a hand-over is to be: an MS_ARM. */
struct ms_handover {
    uint32_t what;     /* enum ms_what */
    uint32_t place;    /* enum ms_place */
    uint32_t when;     /* enum ms_when */
    uint32_t former;   /* enum ms_former */
    int64_t at;        /* of the place */
    int64_t until;     /* it is read up to this content offset only, where the program then waits for another; or MS_NO_STOP */
    uint64_t chunk;    /* not 0: content comes in chunks, which are not for the program, and so many octets of the present one are
                          to come. With `until` only */
    uint64_t sent;     /* the last exchange whose request has been sent on it */
    uint64_t twin;     /* MS_SESSION: its number */
    struct ms_answer answer; /* MS_SESSION: what it brings */
    uint32_t reframed; /* MS_SESSION: its answer is to be delivered in the framing that the program has begun to read */
    uint32_t anywhere; /* MS_IN_HEAD: wherever in it the program stands */
    uint32_t device;   /* of an FTP control connection: over which interface its next data connections lead, 0: as the program says, */
    struct sockaddr_in6 server; /* and to which host; or a sockaddr_in in the same place */
};

struct ms_info {
    struct ms_position position;
    uint32_t forked;      /* the process has had children since the stream was opened */
    uint32_t past_hooks;  /* octets left the socket that no hook saw */
    uint64_t inode;       /* of the socket, to look for other processes that hold it */
    uint32_t unread;      /* FIONREAD */
    uint32_t rtt_us, rttvar_us, retransmits;
    uint32_t out_of_order; /* tcpi_rcv_ooopack: segments that came after a hole */
    uint32_t receive_rtt_us; /* tcpi_rcv_rtt: as the receiver sees it, at least the RTT; 0 unknown */
};

/*
 * The core's only entry point: it is given its end of the channel, in its own descriptor table, and two pieces of memory that the
 * shim has made, in which nothing points anywhere: the counters, and the octets that they tell of (NULL: there are none).
 * 0, or an errno. Called once, on the shim's helper thread.
 */
int midstream_core_start(int channel, struct ms_shared *shared, uint8_t *tails);

#endif
