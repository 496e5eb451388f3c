/* stream.c: records of tracked descriptors and the counting of what passes them; see stream.h. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attempt.h"
#include "tls/below.h"
#include "caller.h"
#include "process/calls.h"
#include "channel.h"
#include "epoll.h"
#include "process/fork.h"
#include "gate.h"
#include "handover/hand.h"
#include "hello.h"
#include "process/load.h"
#include "readiness.h"
#include "socket.h"
#include "tail.h"
#include "tls/tls.h"
#include "tls/twin.h"
#include "unchunk.h"
#include "use.h"
#include "process/withdraw.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t stream_open_count;
_Atomic uint32_t stream_untold_count;

/*
 * Records come by the chunk, as there are descriptors to be tracked: mlockall() fills all that there is with memory, and counts
 * it against its limit.
 */
#define CHUNK 64
static _Atomic(struct stream *) chunks[MS_SLOTS / CHUNK];
static _Atomic uint32_t slots_used;
static _Atomic uint64_t last_id;

struct stream *stream_slot(uint32_t slot)
{
    struct stream *chunk = slot < MS_SLOTS ? atomic_load_explicit(&chunks[slot / CHUNK], memory_order_acquire) : NULL;
    return chunk ? &chunk[slot % CHUNK] : NULL;
}

uint32_t stream_slots_used(void)
{
    uint32_t n = atomic_load(&slots_used);
    return n < MS_SLOTS ? n : MS_SLOTS;
}

/* A slot is used again only when the last call on its former descriptor has left. */
static bool take(struct stream *s)
{
    uint32_t free = STAGE_FREE;
    if (atomic_load(&s->inside) && atomic_load(&s->stage) == STAGE_FREE) {
        caller_look(s);
    }
    return !atomic_load(&s->inside) && atomic_compare_exchange_strong(&s->stage, &free, STAGE_CANDIDATE);
}

static bool make_chunk(uint32_t at)
{
    size_t size = CHUNK * sizeof(struct stream);
    if (atomic_load(&chunks[at])) {
        return true;
    }
    int saved = errno;
    struct stream *chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *none = NULL;
    errno = saved;
    if (chunk == MAP_FAILED) {
        return false;
    }
    for (uint32_t i = 0; i < CHUNK; i++) {
        chunk[i].slot = at * CHUNK + i;
    }
    if (!atomic_compare_exchange_strong(&chunks[at], &none, chunk)) {
        munmap(chunk, size); /* another thread was first */
    }
    return true;
}

static struct stream *claim(void)
{
    /* Where to look first: the slot that became free last is the likeliest to be free. */
    static _Atomic uint32_t hint;
    uint32_t used = stream_slots_used(), start = atomic_load(&hint);
    for (uint32_t i = 0; i < used && i < 64; i++) {
        struct stream *s = stream_slot((start + i) % used);
        if (take(s)) {
            atomic_store(&hint, s->slot + 1);
            return s;
        }
    }
    while ((used = stream_slots_used()) < MS_SLOTS) {
        if (!make_chunk(used / CHUNK)) {
            return NULL;
        }
        /* From that instant on, others find it free as well. */
        if (atomic_compare_exchange_strong(&slots_used, &used, used + 1) && take(stream_slot(used))) {
            return stream_slot(used);
        }
    }
    for (uint32_t slot = 0; slot < MS_SLOTS; slot++) {
        if (take(stream_slot(slot))) {
            return stream_slot(slot);
        }
    }
    return NULL;
}

struct stream *stream_new(int fd, int domain)
{
    struct stream *old = stream_of(fd);
    struct stream_epoll epolls[STREAM_EPOLLS];
    bool keep_epolls = false, too_many = false;
    if (old && atomic_load(&old->stage) == STAGE_CANDIDATE && !old->matched) {
        /* Epoll sets joined before connect() stay known. */
        memcpy(epolls, old->epolls, sizeof epolls);
        too_many = old->too_many_epolls;
        keep_epolls = true;
    }
    if (old) {
        stream_closed(old);
    }
    struct stream *s = (unsigned)fd < STREAM_TABLE ? claim() : NULL;
    if (!s) {
        stream_mark(fd, NULL);
        return NULL;
    }
    uint32_t generation = atomic_load(&s->generation) + 1;
    s->id = atomic_fetch_add(&last_id, 1) + 1;
    s->counters = &shared.counters[s->slot];
    s->fd = fd;
    atomic_store(&s->gate, 0);
    atomic_store(&s->reading, 0);
    atomic_store(&s->receiving, 0);
    atomic_store(&s->writing, 0);
    atomic_store(&s->peeking, 0);
    atomic_store(&s->shown, 0);
    atomic_store(&s->records, 0);
    stream_no_sleepers(s);
    atomic_store(&s->last_read, 0);
    atomic_store(&s->resuming, 0);
    atomic_store(&s->surplus, 0);
    atomic_store(&s->drained, 1);
    atomic_store(&s->looked, 0);
    atomic_store(&s->hidden, 0);
    atomic_store(&s->promised, 0);
    atomic_store(&s->blocking, BLOCKING_UNKNOWN);
    atomic_store(&s->waiting, BLOCKING_UNKNOWN);
    atomic_store(&s->generation, generation);
    framing_reset(&s->out, true);
    framing_reset(&s->in, false);
    s->matched = 0;
    atomic_store(&s->sent, 0);
    atomic_store(&s->heads, 0);
    atomic_store(&s->connects, 0);
    atomic_store(&s->answered, 0);
    s->first = 0;
    quiet_reset(s);
    s->inode = 0;
    s->seen = s->seen_base = 0;
    s->forks = s->forks_told = fork_children();
    s->end_at = s->kept_end = s->asked.until = MS_NO_STOP;
    atomic_store(&s->unchunks, false);
    atomic_store(&s->stepping, 0);
    s->kept_unchunks = false;
    s->moved = s->relayed = false;
    s->domain = domain;
    memset(&s->peer, 0, sizeof s->peer);
    s->pending_error = 0;
    atomic_store(&s->untold, 0);
    s->too_many_epolls = too_many;
    s->sought_in = -1;
    atomic_store(&s->epolls_busy, 0);
    s->bound = false;
    atomic_store(&s->attempt, ATTEMPT_NONE);
    if (keep_epolls) {
        memcpy(s->epolls, epolls, sizeof epolls);
    } else {
        for (int i = 0; i < STREAM_EPOLLS; i++) {
            s->epolls[i].epfd = -1;
        }
    }
    atomic_store(&s->armed, 0);
    s->next_fd = s->kept_fd = s->old_fd = -1;
    s->next_twin = NULL;
    atomic_store(&s->tls, NULL);
    s->opaque = s->http_over_tls = false;
    s->tunnel[0] = s->host[0] = 0;
    s->woken = s->decided = s->still = s->head_told = false; /* but `due` stays: the record may still be in the hand's list */
    stream_mark(fd, s);
    return s;
}

static void forget(struct stream *s)
{
    attempt_over(s);
    quiet_reset(s);
    atomic_store(&s->counters->stream, 0);
    atomic_store(&s->stage, STAGE_FREE);
}

static bool tell_closed(const struct stream *s)
{
    return channel_send(s, MS_CLOSED, 0, atomic_load(&s->counters->exchange), (int64_t)s->in.content, 0, NULL, 0);
}

static void unmark(struct stream *s)
{
    if (stream_of(s->fd) == s) {
        stream_mark(s->fd, NULL);
    }
}

/* Changes the stage of a stream that the core knows, or does not know yet. False: it is not that, or another thread was first. */
static bool advance(struct stream *s, bool known, uint32_t to)
{
    uint32_t stage = atomic_load(&s->stage);
    while (known ? stage == STAGE_OPEN || stage == STAGE_LEFT : stage == STAGE_CANDIDATE || stage == STAGE_HTTP) {
        if (atomic_compare_exchange_weak(&s->stage, &stage, to)) {
            return true;
        }
    }
    return false;
}

/* A stream that the core does not know is forgotten. */
static void abandon(struct stream *s)
{
    if (advance(s, false, STAGE_PARTING)) {
        unmark(s);
        tls_part(s);
        forget(s);
    }
}

void stream_closed(struct stream *s)
{
    abandon(s);
    if (advance(s, true, STAGE_CLOSED)) {
        unmark(s);
        tls_part(s);
        atomic_fetch_sub(&stream_open_count, 1);
        /* What the hand holds for the stream is the hand's to drop, when MS_RELEASE comes. */
        if (tell_closed(s)) {
            return;
        }
        if (atomic_load(&load_state) == LOAD_FAILED) {
            stream_release(s);
        } else if (!atomic_exchange(&s->untold, 1)) {
            atomic_fetch_add(&stream_untold_count, 1);
            hand_ensure();
            hand_wake();
        }
    }
}

void stream_tell_closed(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (!atomic_load(&s->untold)) {
            continue;
        }
        if (!tell_closed(s)) {
            return; /* it is still behind */
        }
        atomic_store(&s->untold, 0);
        atomic_fetch_sub(&stream_untold_count, 1);
    }
}

void stream_release(struct stream *s)
{
    uint32_t closed = STAGE_CLOSED;
    if (atomic_compare_exchange_strong(&s->stage, &closed, STAGE_PARTING)) {
        forget(s);
    }
}

void stream_forget_plain(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        bool other = atomic_load(&s->tls) || atomic_load(&s->unchunks) || atomic_load(&s->surplus) || s->end_at != MS_NO_STOP || s->kept_fd >= 0;
        abandon(s);
        if (!other && advance(s, true, STAGE_PARTING)) {
            unmark(s);
            atomic_fetch_sub(&stream_open_count, 1);
            forget(s);
        }
    }
    for (int fd = 0; fd < STREAM_TABLE; fd++) {
        if (stream_entry(fd) && !stream_of(fd)) {
            stream_mark(fd, NULL);
        }
    }
}

void stream_leave(struct stream *s, enum ms_why why)
{
    uint32_t stage = atomic_load(&s->stage);
    if (stage == STAGE_OPEN) {
        /* Another thread may close it meanwhile. */
        if (!atomic_compare_exchange_strong(&s->stage, &stage, STAGE_LEFT)) {
            return;
        }
        quiet_tell(s);
        channel_send_why(s, MS_LEFT, atomic_load(&s->counters->exchange), 0, 0, why);
    } else {
        abandon(s);
    }
}

/*
 * A connection may fail before the core has seen the request, and decided whether it is guarded: it is told, and decides then.
 * The first one may even fail before the core is there.
 */
static void guard_early(struct stream *s)
{
    bool starting = atomic_load(&load_state) == LOAD_STARTING;
    bool known = s->peer.sin6_family; /* nobody else could be asked */
    atomic_store(&s->counters->guard, known && !s->here && (starting || atomic_load(&shared.guard_new)));
}

/* The first GET: from here on the core knows the stream. */
static bool open_stream(struct stream *s)
{
    struct ms_opened opened = { .fd = s->fd, .domain = s->domain };
    socklen_t length = sizeof opened.protocol;
    struct stat status;
    if (!load_start() || fstat(s->fd, &status)) {
        return false;
    }
    s->inode = status.st_ino;
    REAL(getsockopt)(s->fd, SOL_SOCKET, SO_PROTOCOL, &opened.protocol, &length);
    length = sizeof opened.peer;
    if (REAL(getpeername)(s->fd, (struct sockaddr *)&opened.peer, &length)) {
        opened.peer = s->peer; /* not connected yet (TCP_FASTOPEN_CONNECT), or not any more */
    }
    length = sizeof opened.local;
    REAL(getsockname)(s->fd, (struct sockaddr *)&opened.local, &length);
    s->peer = opened.peer;
    s->local = opened.local;
    s->first = atomic_load(&s->sent);
    atomic_store(&s->counters->exchange, atomic_load(&s->answered) + 1);
    atomic_store(&s->counters->received, 0);
    atomic_store(&s->counters->head, 0);
    atomic_store(&s->counters->phase, s->in.phase == MS_IDLE ? MS_HEAD : s->in.phase);
    atomic_store(&s->counters->stop_at, MS_NO_STOP);
    s->here = use_is_local((struct sockaddr *)&opened.peer);
    guard_early(s);
    atomic_store(&s->counters->called_off, 0);
    s->arming = 0;
    /* From the first octet on: the core may hear of the response only when the program has read much of it. */
    atomic_store(&s->counters->keep, MS_KEEP_CHEAP);
    atomic_store(&s->counters->stream, s->id);
    if (!advance(s, false, STAGE_OPEN)) {
        return false; /* another thread has closed it meanwhile */
    }
    atomic_fetch_add(&stream_open_count, 1);
    if (!channel_send(s, MS_OPENED, 0, s->first, 0, 0, &opened, sizeof opened)) {
        if (advance(s, true, STAGE_HTTP)) {
            atomic_fetch_sub(&stream_open_count, 1);
        }
        return false;
    }
    tls_opened(s);
    if (withdraw_reason()) {
        stream_leave(s, withdraw_reason());
    } else if (!load_is_near(s->fd)) {
        stream_leave(s, MS_WHY_OTHER_NAMESPACE);
    }
    return true;
}

/* 1: a GET begins; 0: another method, or not yet clear; -1: not HTTP. */
static int match_method(const char *start, size_t length)
{
    static const char *const methods[] = {
        "GET /", "GET h", "GET H", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ",
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (!memcmp(start, methods[i], length < n ? length : n)) {
            return length >= n && i < 3;
        }
    }
    return -1;
}

/*
 * Before the stream is open: looks at the first octets of a request, in as many pieces as they come. Returns
 * false when the stream has been left alone.
 */
static bool recognise(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->matched >= 5) {
        return true;
    }
    while (count && s->matched < 5) {
        s->start[s->matched++] = (char)*octets++;
        count--;
    }
    int method = match_method(s->start, s->matched);
    if (method < 0 && atomic_load(&s->tls) && !memcmp(s->start, "PRI *", s->matched)) {
        /* The preface of HTTP/2 (RFC 9113 §3.4). */
        if (s->matched == 5 && open_stream(s)) {
            stream_leave(s, MS_WHY_HTTP_2);
            return false;
        }
        method = 0;
    }
    if (method < 0) {
        stream_leave(s, MS_WHY_NOT_HTTP);
        return false;
    }
    return advance(s, false, STAGE_HTTP);
}

/*
 * Whether the connection's port leaves it open that it is for HTTP. Below 1024 other protocols have ports of their own, and a
 * program that speaks one is not to have the core loaded for a connection that it would only be told of.
 */
static bool is_port_of_http(const struct stream *s)
{
    struct sockaddr_in6 peer = { .sin6_family = AF_UNSPEC };
    socklen_t length = sizeof peer;
    const char *colon = strrchr(s->tunnel, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (!colon && !REAL(getpeername)(s->fd, (struct sockaddr *)&peer, &length)) {
        port = ntohs(peer.sin6_port); /* a sockaddr_in has it in the same place */
    }
    return port >= 1024 || port == 80 || port == 443;
}

/* A ClientHello of a library that is not known: what the core could be told of the connection. */
static void read_hello(struct stream *s, const uint8_t *octets, size_t count)
{
    struct hello hello;
    hello_read(&hello, octets, count);
    if (hello.name[0]) {
        memcpy(s->host, hello.name, sizeof s->host);
    }
    s->http_over_tls = s->http_over_tls || (hello.protocols ? hello.http : is_port_of_http(s));
}

/* A connection that nobody here can follow: the core is told why, if the connection may be for HTTP. */
static void tell_left(struct stream *s, enum ms_why why)
{
    if (open_stream(s)) {
        stream_leave(s, why);
    } else {
        abandon(s);
    }
}

void stream_past_hooks(struct stream *s, enum ms_why why)
{
    uint32_t stage = atomic_load(&s->stage);
    if ((stage == STAGE_CANDIDATE || stage == STAGE_HTTP) && is_port_of_http(s)) {
        tell_left(s, why);
    } else {
        stream_leave(s, why);
    }
}

/* "CONNECT host:port HTTP/1.x": what follows the proxy's answer is not for the proxy. */
static bool begin_tunnel(struct stream *s, const uint8_t *octets, size_t count)
{
    size_t length = 0, room = sizeof s->tunnel - 1;
    if (count <= 8 || memcmp(octets, "CONNECT ", 8)) {
        return false;
    }
    octets += 8;
    count -= 8;
    while (length < count && length < room && octets[length] > ' ') {
        length++;
    }
    if (length == count || octets[length] != ' ') {
        return false;
    }
    memcpy(s->tunnel, octets, length);
    s->tunnel[length] = 0;
    return true;
}

/* TLS records (RFC 8446 §5.1). */
#define HANDSHAKE 22
#define APPLICATION_DATA 23

/*
 * Before the stream is open: octets that are none of HTTP's. True when there is no more to be done with them; a TLS session
 * is seen where its library is called.
 */
static bool is_opaque(struct stream *s, const uint8_t *octets, size_t count)
{
    if (atomic_load(&s->stage) != STAGE_CANDIDATE || s->matched) {
        return false;
    }
    if (begin_tunnel(s, octets, count)) {
        s->opaque = true;
    } else if (octets[0] == HANDSHAKE) {
        s->opaque = true;
        const uint8_t *random = hello_random(octets, count);
        if (random && !aside_match(s, random)) {
            below_sent(s, random);
        }
        read_hello(s, octets, count);
    } else if (s->opaque && octets[0] == APPLICATION_DATA) {
        if (tls_inside()) {
            return true; /* of a library that is known: its handshake comes to an end */
        }
        if (!s->http_over_tls && !tls_works_aside()) {
            stream_leave(s, MS_WHY_NOT_HTTP);
        } else if (tls_works_aside()) {
            tell_left(s, MS_WHY_TLS_NOT_FOUND);
        } else {
            tell_left(s, MS_WHY_TLS_UNKNOWN);
        }
    } else if (s->opaque && octets[0] > HANDSHAKE) {
        stream_leave(s, MS_WHY_TUNNEL);
    }
    return s->opaque;
}

/* Octets that the program has sent. */
static void feed_out(struct stream *s, const uint8_t *octets, size_t count)
{
    for (;;) {
        size_t used;
        uint32_t before = s->out.phase;
        enum framing_event event = framing_read(&s->out, octets, count, &used);
        uint64_t number = atomic_load(&s->sent);
        uint32_t stage = atomic_load(&s->stage);
        if (event == FRAMING_BEGUN) {
            if (number - atomic_load(&s->answered) >= STREAM_PIPELINE) {
                stream_leave(s, MS_WHY_MANY_REQUESTS);
                return;
            }
            uint64_t bit = 1ULL << ((number + 1) % 64);
            atomic_fetch_and(&s->heads, ~bit);
            atomic_fetch_and(&s->connects, ~bit);
            atomic_store(&s->sent, number + 1);
            s->matched = 0;
            if (stage == STAGE_OPEN && atomic_load(&s->answered) == number) {
                guard_early(s);
                struct stat status;
                if (fstat(s->fd, &status) || status.st_ino != s->inode) {
                    /* The number was closed and used again without any hook seeing it. */
                    stream_closed(s);
                    return;
                }
            }
            if (stage == STAGE_OPEN) {
                quiet_begin(s, number + 1);
            }
            if (stage == STAGE_OPEN && atomic_load(&s->answered) == number) {
                guard_early(s); /* the core may just have taken the guard from the one before */
            }
        } else if (before == MS_HEAD) {
            if (stage == STAGE_CANDIDATE || stage == STAGE_HTTP) {
                uint8_t matched = s->matched;
                if (!recognise(s, octets, used)) {
                    return;
                }
                if (matched < 5 && match_method(s->start, s->matched) == 1) {
                    if (!open_stream(s)) {
                        abandon(s);
                        return;
                    }
                    channel_send_head(s, MS_REQUEST, 0, number, 0, 0, s->start, matched);
                    stage = STAGE_OPEN;
                }
            }
            unsigned flags = event == FRAMING_ENDED_HEAD ? MS_LAST : 0;
            if (stage == STAGE_OPEN && !quiet_keep(s, MS_REQUEST, flags, number, 0, 0, octets, used)
                && !channel_send_head(s, MS_REQUEST, flags, number, 0, 0, octets, used)) {
                stream_leave(s, MS_WHY_CORE_BEHIND);
                return;
            }
            if (event == FRAMING_ENDED_HEAD) {
                uint64_t bit = 1ULL << (number % 64);
                if (s->out.method == FRAMING_HEAD_REQUEST) {
                    atomic_fetch_or(&s->heads, bit);
                } else if (s->out.method == FRAMING_CONNECT) {
                    atomic_fetch_or(&s->connects, bit);
                }
            }
        }
        if (s->out.phase == MS_BROKEN) {
            stream_leave(s, s->out.upgraded ? MS_WHY_TUNNEL : MS_WHY_BAD_REQUEST);
            return;
        }
        octets += used;
        count -= used;
        if (event == FRAMING_MORE) {
            return;
        }
    }
}

static void publish(struct stream *s)
{
    atomic_store_explicit(&s->counters->head, s->in.head, memory_order_release);
    atomic_store_explicit(&s->counters->phase, s->in.phase, memory_order_release);
    /* Sequentially consistent: the hand arms, then looks here; stream_check_stop looks at `armed` after this. */
    atomic_store(&s->counters->received, s->in.content);
}

/* How long a reader waits for another thread's write of the request at most: on a busy machine that may stand still for a while. */
#define COUNTING_NS 200000000LL

/*
 * Another thread's write of the request may have returned from the kernel, but not yet from its hook. The core is told of the
 * response behind that, whoever reads it, and however early.
 */
static bool await_request(const struct stream *s, uint64_t number)
{
    int64_t until = 0;
    for (int i = 0; atomic_load(&s->sent) < number ? caller_other_writes(s, 0) : caller_other_writes(s, CALLER_COUNTS); i++) {
        if (i < 1000) {
            sched_yield();
            continue;
        }
        until = until ? until : now_ns() + COUNTING_NS;
        if (now_ns() > until) {
            break;
        }
        REAL(poll)(NULL, 0, 1);
    }
    return atomic_load(&s->sent) >= number;
}

/* The first octet of a response: which request does it answer? */
static bool begin_response(struct stream *s)
{
    uint64_t number = atomic_load(&s->answered) + 1;
    if (!await_request(s, number)) {
        return false;
    }
    uint64_t bit = 1ULL << (number % 64);
    s->in.method = atomic_load(&s->heads) & bit ? FRAMING_HEAD_REQUEST : FRAMING_GET;
    atomic_store(&s->counters->exchange, 0);
    atomic_store(&s->counters->received, 0);
    atomic_store(&s->counters->head, 0);
    atomic_store(&s->counters->tail_from, 0);
    atomic_store(&s->counters->tail_end, 0);
    atomic_store(&s->counters->exchange, number);
    return true;
}

/*
 * The core starts beside the first octets that a process receives, and where there are few processors their reader stands
 * still for some milliseconds. The kernel takes it for a slow one, and the window may stay as small as it was at the
 * beginning: of downloads from a fast server, one in six took twice the time. So a long response finds room from the first.
 * Over TLS the reader is the slower one anyway: with more room, more octets wait for it out of reach of the caches.
 */
#define LONG_RESPONSE (16 << 20)
#define ROOM (256 << 10)

static void make_room(const struct stream *s, uint64_t number)
{
    if (number == s->first && s->in.phase == MS_LENGTH && s->in.left > LONG_RESPONSE && !atomic_load(&s->tls)) {
        socket_make_room(s->fd, ROOM);
    }
}

static bool is_told(const struct stream *s, uint64_t number)
{
    return atomic_load(&s->stage) == STAGE_OPEN && number >= s->first;
}

/* Octets that the program has been handed. */
static void feed_in(struct stream *s, const uint8_t *octets, size_t count)
{
    for (;;) {
        size_t used;
        uint32_t before = s->in.phase, head = s->in.head;
        enum framing_event event = framing_read(&s->in, octets, count, &used);
        uint64_t number = atomic_load(&s->answered) + 1;
        bool told = is_told(s, number);
        if (event == FRAMING_BEGUN) {
            if (!begin_response(s)) {
                s->in.phase = MS_BROKEN;
                stream_leave(s, MS_WHY_SERVER_SPOKE);
                return;
            }
            s->head_told = is_told(s, number);
        } else if (told && !s->head_told && before != MS_IDLE) {
            stream_leave(s, MS_WHY_ANSWERED_EARLY);
            told = false;
        } else if (before == MS_HEAD && told) {
            unsigned flags = event == FRAMING_ENDED_HEAD ? MS_LAST | (s->in.interim ? MS_INTERIM : 0) : 0;
            int64_t length = s->in.phase == MS_LENGTH ? (int64_t)s->in.left : -1;
            if (!quiet_keep(s, MS_RESPONSE, flags, number, s->in.phase, length, octets, used)
                && !channel_send_head(s, MS_RESPONSE, flags, number, s->in.phase, length, octets, used)) {
                stream_leave(s, MS_WHY_CORE_BEHIND);
                return;
            }
            if (event == FRAMING_ENDED_HEAD) {
                make_room(s, number);
            }
        } else if (s->in.phase == MS_TRAILER && s->in.head > head && told) {
            /* Rare: most trailer sections come with the last of the content, and are read to their end at once. */
            size_t read = s->in.head - head;
            quiet_tell(s);
            if (!channel_send_head(s, MS_TRAILER_OCTETS, 0, number, 0, 0, octets + used - read, read)) {
                stream_leave(s, MS_WHY_CORE_BEHIND);
                return;
            }
        }
        if (event == FRAMING_ENDED && !s->in.interim) {
            publish(s);
            atomic_store(&s->answered, number);
            if (told) {
                if (!quiet_end(s, number, s->in.content) && !channel_send(s, MS_DONE, 0, number, (int64_t)s->in.content, 0, NULL, 0)) {
                    stream_leave(s, MS_WHY_CORE_BEHIND);
                }
                hand_ensure(); /* the program may do something else now, and the idle connection may have to move */
            }
        }
        if (s->in.phase == MS_BROKEN) {
            stream_leave(s, s->in.upgraded ? MS_WHY_UPGRADED : MS_WHY_BAD_RESPONSE);
            return;
        }
        octets += used;
        count -= used;
        if (event == FRAMING_MORE) {
            publish(s);
            return;
        }
    }
}

void stream_check_stop(struct stream *s)
{
    int64_t content = (int64_t)s->in.content;
    bool due = atomic_load(&s->armed) && (content >= atomic_load(&s->counters->stop_at) || s->asked.when == MS_NOW
               || (s->asked.place == MS_AT_END && atomic_load(&s->answered) >= s->arm_exchange));
    if ((due || content >= s->end_at) && gate_close(s)) {
        hand_due(s);
    }
}

/*
 * A tail costs a copy of all content. While a download is so fast that the hand has left, or would if it could, that would be
 * felt, and 64 kB are soon collected again, once the core asks for them.
 */
static void keep_tail(struct stream *s)
{
    uint32_t keep = atomic_load_explicit(&s->counters->keep, memory_order_relaxed);
    bool wanted = keep == MS_KEEP_ALWAYS
        || (keep == MS_KEEP_CHEAP && hand_is_there() && !atomic_load_explicit(&hand_is_outrun, memory_order_relaxed));
    if (wanted && !s->in.tail) {
        tail_start(&s->in, s->counters);
    } else if (!wanted && s->in.tail) {
        tail_stop(&s->in, s->counters);
    }
}

/* After so long without octets the core looks at the stream only now and then: it is told when they come again. */
#define STILL_NS 1000000000ULL

void stream_stirs(struct stream *s, uint64_t before, uint64_t now)
{
    if (before && now > before && now - before >= STILL_NS && atomic_load_explicit(&s->counters->guard, memory_order_relaxed)) {
        channel_send(s, MS_STIRS, 0, atomic_load(&s->counters->exchange), 0, 0, NULL, 0);
    }
}

/* When the program was handed something: what a stall is measured by. */
static void note_read(struct stream *s, size_t octets)
{
    if (atomic_load(&s->stage) != STAGE_OPEN) {
        return;
    }
    bool resuming = atomic_load_explicit(&s->resuming, memory_order_relaxed);
    /* The exact clock costs five times the coarse one: it is for the octets next to a hand-over. */
    uint64_t now = (uint64_t)(resuming || atomic_load(&s->armed) ? now_ns() : coarse_now_ns());
    uint64_t before = atomic_load_explicit(&s->last_read, memory_order_relaxed);
    atomic_store_explicit(&s->last_read, now, memory_order_relaxed);
    hand_note_read(octets);
    stream_stirs(s, before, now);
    if (resuming) {
        atomic_store(&s->resuming, 0);
        channel_send(s, MS_RESUMED, 0, atomic_load(&s->counters->exchange), before && now > before ? (int64_t)(now - before) : 0, 0, NULL, 0);
    }
}

/* How often a read looks whether another one, which takes chunk framing out, has finished; that one has not if it waits itself. */
#define TURN_TRIES 200

static size_t begin_reading(struct call *call, struct stream *s, bool peek)
{
    call->stream = s;
    call->own = call->alone = false;
    call->counted = call->unchunks = call->more = false;
    call->error = 0;
    call->token = 0;
    call->id = s->id;
    /* Where the present socket does not bring all of the response, it is followed to that place in any case. */
    call->tracked = (atomic_load(&s->stage) != STAGE_LEFT || s->end_at != MS_NO_STOP) && fork_is_mine() && gate_enter(s);
    if (!call->tracked) {
        return SIZE_MAX;
    }
    if (atomic_load(&s->pending_error) && !(call->clear && aside_is_on(s))) {
        call->error = atomic_exchange(&s->pending_error, 0);
    }
    /* Records, not HTTP: the program moves them itself, or its library reads outside the calls that are known. */
    call->counted = !peek && !call->clear && atomic_load(&s->tls);
    call->place = call->counted ? &s->records : peek ? &s->peeking : &s->reading;
    call->token = caller_enter(s, call->place);
    call->unchunks = atomic_load(&s->unchunks);
    /* What stands between the chunks is stepped over by one call at a time. */
    for (int tries = 0; !call->token && !call->error && call->place == &s->reading && (call->unchunks || atomic_load(&s->stepping));) {
        if (tries++ == TURN_TRIES) {
            call->token = caller_enter(s, call->place); /* it may have been left for good */
            call->error = call->token ? 0 : EAGAIN; /* the other one waits for octets: there are none */
            break;
        }
        sched_yield();
        call->token = atomic_load(call->place) ? 0 : caller_enter(s, call->place);
    }
    if (call->counted) {
        atomic_fetch_add(&s->receiving, 1);
    } else if (!peek) {
        call->alone = call->token;
        if (!call->alone && call->error != EAGAIN) {
            stream_leave(s, MS_WHY_TWO_READERS);
        }
    }
    call->generation = atomic_load(&s->generation);
    int64_t stop = atomic_load(&s->counters->stop_at);
    if (!call->error && call->unchunks && call->token && unchunk_is_over(s)) {
        call->error = ECONNRESET; /* the server may send nothing more, and leave the connection open */
    }
    if ((int64_t)s->in.content >= s->end_at) {
        call->error = ECONNRESET; /* nobody has brought the rest for as long as the gate waits */
    }
    if (stop != MS_NO_STOP && (atomic_load(&s->armed) || s->end_at != MS_NO_STOP)) {
        /* Content is never longer than the octets that carry it, so this cannot pass the offset. */
        int64_t left = stop - (int64_t)s->in.content;
        if (s->in.phase != MS_IDLE && left > 0) {
            return (size_t)left;
        }
    }
    return SIZE_MAX;
}

size_t read_begin(struct call *call, struct stream *s, bool peek)
{
    call->clear = false;
    if (tls_own_traffic(s)) {
        *call = (struct call){ .stream = s, .own = true };
        return SIZE_MAX;
    }
    return begin_reading(call, s, peek);
}

size_t read_begin_in_turn(struct call *call, struct stream *s, int flags)
{
    for (;;) {
        size_t limit = read_begin(call, s, flags & MSG_PEEK);
        if (call->error != EAGAIN || flags & MSG_DONTWAIT || REAL(fcntl)(s->fd, F_GETFL, NULL) & O_NONBLOCK) {
            return limit;
        }
        read_leave(call);
        REAL(poll)(NULL, 0, 2);
    }
}

size_t read_begin_clear(struct call *call, struct stream *s, bool peek)
{
    call->clear = true;
    return begin_reading(call, s, peek);
}

bool stream_is_fatal(int error)
{
    return error != EAGAIN && error != EINTR && error != EFAULT && error != EINVAL && error != EBADF && error != ENOMEM
        && error != ENOBUFS && error != ENOTSOCK;
}

/* The response ends with the connection, as far as anybody knows. */
static bool ends_with_connection(const struct stream *s)
{
    return s->in.phase == MS_CLOSE && s->end_at == MS_NO_STOP && !tls_owes(s);
}

/* Whether the end of the connection is also the end of what the server meant to send. */
static bool is_complete(const struct stream *s, int error)
{
    return s->in.phase == MS_IDLE || (ends_with_connection(s) && !error);
}

/*
 * Whether FIN has come, which a read tells of even if RST has followed it (tcp(7) then keeps EPIPE for the next write). The kernel counts
 * it as an octet. Only where nothing is left to be read.
 */
static bool has_ended_orderly(const struct stream *s)
{
    struct pollfd look = { .fd = s->fd, .events = POLLRDHUP };
    REAL(poll)(&look, 1, 0);
    return !(look.revents & POLLERR) || socket_taken(s->fd) == (int64_t)(s->seen_base + s->seen) + 1;
}

/* Of an end that a wait has met: the error, if there is one, is still the socket's to tell. */
#define LEFT_ERROR (-1)

/*
 * The connection has ended. If the core guards the stream, the program is held until the core has put
 * something else behind the descriptor, or has given up. True when it was held.
 */
bool stream_would_hold(const struct stream *s)
{
    return atomic_load(&s->sent) > atomic_load(&s->answered) && atomic_load(&s->counters->guard)
        && atomic_load(&s->stage) == STAGE_OPEN;
}

static bool hold(struct stream *s, int error)
{
    bool orderly = !error || (error == LEFT_ERROR && has_ended_orderly(s)); /* FIN is how a response without a length ends */
    bool ends = (ends_with_connection(s) && orderly) || aside_is_through(s, orderly);
    bool would = !ends && stream_would_hold(s);
    if (would && atomic_load(&load_state) == LOAD_STARTING) {
        load_wait(); /* for a while, and once: a core that does not come would hold the program for good */
        if (atomic_load(&load_state) != LOAD_UP) {
            atomic_store(&s->counters->guard, 0);
        }
        would = stream_would_hold(s);
    }
    bool held = would && gate_hold(s);
    if (would && !held) {
        return true; /* the hand has closed it meanwhile: what is there afterwards is looked at anew */
    }
    if (error == LEFT_ERROR) {
        if (!held) {
            return false;
        }
        error = 0;
    }
    if (!held && ends_with_connection(s) && !error) {
        s->in.phase = MS_IDLE;
        publish(s);
        uint64_t number = atomic_load(&s->answered) + 1;
        atomic_store(&s->answered, number);
        if (!quiet_end(s, number, s->in.content)) {
            channel_send(s, MS_DONE, 0, number, (int64_t)s->in.content, 0, NULL, 0);
        }
    }
    if (held) {
        if (s->kept_fd < 0) {
            s->held_error = error; /* else what has ended is only what the program was to wait on meanwhile */
        }
        hand_ensure();
    }
    quiet_tell(s);
    if (!channel_send(s, MS_FAILED, held ? MS_HELD : 0, atomic_load(&s->counters->exchange), error,
                      (int64_t)s->in.content, NULL, 0)
        && held && s->kept_fd < 0) {
        /* Nobody would answer; where the connection itself has been kept, the hand puts it back. */
        atomic_store(&s->pending_error, s->held_error);
        atomic_store(&s->counters->guard, 0);
        gate_open(s);
    }
    return held;
}

/* Whether the end of the connection, as a read has met it, is the response's end as well, or breaks it off. */
static bool concerns_response(const struct call *call, int error)
{
    if (call->counted && aside_is_on(call->stream)) {
        return call->stream->in.phase != MS_CLOSE || error; /* the last octets may still have to be decrypted */
    }
    /* MSG_PEEK meets the end like any read, and some programs do nothing before it has shown them something. */
    bool only = call->alone || (call->place == &call->stream->peeking && !caller_other_reads(call->stream));
    return only || is_complete(call->stream, error);
}

/*
 * The call has returned from the kernel. False when it is not the stream's, or not any more, for it seemed to have been left
 * for good: what it has read or written is not counted. Keeps errno.
 */
static bool resume(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    if (call->tracked && (!call->token || caller_returns(call->place, &call->token))) {
        return true;
    }
    if (call->tracked && result > 0 && s->id == call->id) {
        stream_leave(s, MS_WHY_INTERRUPTED);
    }
    return false;
}

/* Such a call is to be repeated if the hand has woken it. */
static bool was_woken(const struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    if (!call->tracked || s->id != call->id || result > 0 || (result < 0 && !stream_is_fatal(errno))
        || (!atomic_load(&s->gate) && atomic_load(&s->generation) == call->generation)) {
        return false;
    }
    gate_wait(s);
    return true;
}

static void leave(const struct call *call)
{
    if (call->token) {
        caller_leave(call->stream, call->place, call->token);
    } else {
        gate_leave(call->stream);
    }
}

/* The read has not found what a wait has promised, which is for one read to find. */
static bool is_denied(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    bool denied = result < 0 && errno == EAGAIN && !call->clear && !call->counted && readiness_is_denied(s);
    if (call->place != &s->peeking || denied) {
        atomic_store_explicit(&s->promised, 0, memory_order_relaxed);
    }
    return denied;
}

static bool finish_read(struct call *call, ssize_t result, bool nothing_asked)
{
    struct stream *s = call->stream;
    int saved = errno;
    bool again = is_denied(call, result), end = result < 0 ? stream_is_fatal(saved) : result == 0 && !nothing_asked;
    if (end) {
        int error = result < 0 ? saved : 0;
        if (atomic_load(&s->gate) || atomic_load(&s->generation) != call->generation) {
            again = true; /* the hand woke this call */
        } else if (atomic_load(&s->stage) == STAGE_OPEN && concerns_response(call, error)) {
            again = hold(s, error);
        }
        if (!again && !result && s->in.phase == MS_CLOSE && !ends_with_connection(s) && atomic_load(&s->stage) == STAGE_OPEN) {
            /* It would pass for the end of the content. */
            atomic_store(&s->pending_error, ECONNRESET);
            again = true;
        }
    }
    if (call->counted) {
        atomic_fetch_sub(&s->receiving, 1);
        if (end && !again) {
            aside_end(s);
        }
    }
    leave(call);
    if (again && !end) {
        readiness_await(s->fd);
    } else if (again) {
        /* An unanswered hold: the program sees how its connection ended. */
        if (!gate_wait(s)) {
            gate_open(s);
            again = false;
        }
        if (again && result < 0 && s->id == call->id && atomic_load(&s->generation) == call->generation) {
            /* Nothing has come in its place, and the kernel tells an error once: the next time it says that all is over. */
            int none = 0;
            again = atomic_load(&s->stage) == STAGE_OPEN;
            if (again) {
                atomic_compare_exchange_strong(&s->pending_error, &none, saved);
            }
        }
    }
    errno = saved;
    return again;
}

/* What of the octets that a look ahead has shown is still to be read. */
static void note_shown(const struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    uint64_t shown = atomic_load_explicit(&s->shown, memory_order_relaxed), n = result > 0 ? (uint64_t)result : 0;
    if (call->place == &s->peeking) {
        shown = n > shown ? n : shown;
    } else if (call->alone) {
        shown = n < shown ? shown - n : 0;
    }
    atomic_store_explicit(&s->shown, shown, memory_order_relaxed);
}

/* Events were kept from the program because of unread octets, of which it has read some: those who wait look again. */
static bool shows_hidden(struct stream *s, ssize_t result)
{
    return result > 0 && atomic_load_explicit(&s->hidden, memory_order_relaxed) && atomic_exchange(&s->hidden, 0);
}

bool read_end(struct call *call, ssize_t result, const struct iovec *vector, int count)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return was_woken(call, result);
    }
    if (result > 0) {
        note_shown(call, result);
    }
    if (result > 0 && call->counted) {
        s->seen += (uint64_t)result;
        atomic_store(&s->surplus, 0); /* with these octets the program goes to its library */
        if (!aside_is_on(s)) {
            tls_spoil(atomic_load(&s->tls), MS_WHY_TLS_CARRIED);
        }
    }
    if (result > 0 && call->alone) {
        keep_tail(s);
        size_t left = (size_t)result;
        if (!call->clear) {
            s->seen += left;
        }
        for (int i = 0; i < count && left; i++) {
            size_t n = vector[i].iov_len < left ? vector[i].iov_len : left;
            if (s->in.phase != MS_BROKEN && (call->clear || !s->opaque)) {
                feed_in(s, vector[i].iov_base, n);
            }
            left -= n;
        }
        note_read(s, (size_t)result);
        stream_check_stop(s);
    }
    size_t asked = 0;
    for (int i = 0; i < count && result >= 0; i++) {
        asked += vector[i].iov_len;
    }
    atomic_store_explicit(&s->drained, result < (ssize_t)asked && !call->more, memory_order_relaxed);
    if (call->more || shows_hidden(s, result)) {
        epoll_edge(s);
    }
    errno = saved;
    return finish_read(call, result, asked == 0);
}

void read_leave(struct call *call)
{
    int saved = errno;
    errno = EINTR;
    finish_read(call, -1, false);
    errno = saved;
}

bool read_end_unseen(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    atomic_store_explicit(&s->looked, 0, memory_order_relaxed);
    int saved = errno;
    if (!resume(call, result)) {
        return was_woken(call, result);
    }
    if (result > 0 && call->alone) {
        note_shown(call, result);
        s->seen += (uint64_t)result;
        if ((s->in.phase == MS_LENGTH && (uint64_t)result <= s->in.left) || s->in.phase == MS_CLOSE
            || (s->in.phase == MS_CHUNK_DATA && (uint64_t)result < s->in.left)) {
            /* Only content: the framing needs no more than its length, and never looks at it. */
            tail_stop(&s->in, s->counters);
            feed_in(s, (const uint8_t *)"", (size_t)result);
            note_read(s, (size_t)result);
            stream_check_stop(s);
        } else {
            stream_leave(s, MS_WHY_SPLICED_IN);
        }
    }
    if (call->more || shows_hidden(s, result)) {
        epoll_edge(s);
    }
    errno = saved;
    return finish_read(call, result, false);
}

static void begin_writing(struct call *call, struct stream *s)
{
    call->stream = s;
    call->own = false;
    call->tracked = fork_is_mine() && gate_enter_again(s);
    if (call->tracked) {
        call->id = s->id;
        call->place = &s->writing;
        call->token = caller_enter(s, call->place);
        call->alone = call->token;
        if (!call->alone) {
            stream_leave(s, MS_WHY_TWO_WRITERS);
        }
    }
}

void write_begin(struct call *call, struct stream *s)
{
    call->clear = false;
    if (tls_own_traffic(s)) {
        *call = (struct call){ .stream = s, .own = true };
        return;
    }
    begin_writing(call, s);
}

void write_begin_clear(struct call *call, struct stream *s)
{
    call->clear = true;
    begin_writing(call, s);
}

void write_end(struct call *call, ssize_t result, const struct iovec *vector, int count)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return;
    }
    if (result > 0 && call->alone) {
        size_t left = (size_t)result;
        attempt_over(s);
        for (int i = 0; i < count && left; i++) {
            size_t n = vector[i].iov_len < left ? vector[i].iov_len : left;
            uint32_t stage = atomic_load(&s->stage);
            bool passes = !n || (!call->clear && (atomic_load(&s->tls) || is_opaque(s, vector[i].iov_base, n)));
            if (!passes && (stage == STAGE_CANDIDATE || stage == STAGE_HTTP || stage == STAGE_OPEN)) {
                feed_out(s, vector[i].iov_base, n);
            }
            left -= n;
        }
        if (!call->clear && aside_is_on(s)) {
            aside_sent(s, (size_t)result);
        }
    }
    leave(call);
    errno = saved;
}

void write_end_unseen(struct call *call, ssize_t result)
{
    struct stream *s = call->stream;
    int saved = errno;
    if (!resume(call, result)) {
        return;
    }
    if (result > 0 && call->alone) {
        if (s->out.phase == MS_LENGTH && (uint64_t)result <= s->out.left) {
            feed_out(s, (const uint8_t *)"", (size_t)result);
        } else {
            stream_leave(s, MS_WHY_SPLICED_OUT);
        }
    }
    leave(call);
    errno = saved;
}

bool stream_failed_in_wait(struct stream *s)
{
    uint32_t generation = atomic_load(&s->generation);
    if (atomic_load(&s->stage) != STAGE_OPEN || !atomic_load(&s->counters->guard) || !fork_is_mine()
        || caller_other_reads(s)) {
        return false;
    }
    if (atomic_load(&s->gate)) {
        gate_wait(s);
        return true;
    }
    /* Inside, so that the hand leaves alone what is looked at. */
    if (!gate_enter(s)) {
        return false;
    }
    bool moved = atomic_load(&s->generation) != generation, held = !moved && hold(s, LEFT_ERROR);
    gate_leave(s);
    if (!held) {
        return moved;
    }
    if (!gate_wait(s)) {
        gate_open(s);
        return false;
    }
    return true;
}
