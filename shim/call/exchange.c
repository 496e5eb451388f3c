/* exchange.c: see exchange.h. */
#include "exchange.h"

#include <sched.h>
#include <sys/stat.h>

#include "stream/caller.h"
#include "process/calls.h"
#include "stream/channel.h"
#include "stream/due.h"
#include "stream/gate.h"
#include "process/agent.h"
#include "process/load.h"
#include "recognise.h"
#include "network/socket.h"
#include "framing/digest.h"
#include "framing/tail.h"
#include "ftp/ftp.h"

/* Request n + 1 begins. False when the stream is not followed any more. */
static bool begin_request(struct stream *s, uint64_t number)
{
    bool open = atomic_load(&s->stage) == STAGE_OPEN;
    if (number - atomic_load(&s->exchanges.answered) >= STREAM_PIPELINE) {
        stream_leave(s, MS_WHY_MANY_REQUESTS);
        return false;
    }
    uint64_t bit = 1ULL << ((number + 1) % 64);
    atomic_fetch_and(&s->exchanges.heads, ~bit);
    atomic_fetch_and(&s->exchanges.connects, ~bit);
    atomic_store(&s->exchanges.sent, number + 1);
    s->exchanges.matched = 0;
    if (open && atomic_load(&s->exchanges.answered) == number) {
        stream_guard_early(s);
        struct stat status;
        if (fstat(s->fd, &status) || status.st_ino != s->present.inode) {
            /* The number was closed and used again without any hook seeing it. */
            stream_closed(s);
            return false;
        }
    }
    if (open) {
        quiet_begin(s, number + 1);
    }
    if (open && atomic_load(&s->exchanges.answered) == number) {
        stream_guard_early(s); /* the core may just have taken the guard from the one before */
    }
    return true;
}

/* Octets of a request's head on a stream that the core does not know yet. False when it is not followed any more. */
static bool look_for_get(struct stream *s, uint32_t *stage, uint64_t number, const uint8_t *octets, size_t count)
{
    uint8_t matched = s->exchanges.matched;
    if (!recognise_request(s, octets, count)) {
        return false;
    }
    if (matched < 5 && recognise_method(s->exchanges.start, s->exchanges.matched) == 1) {
        if (!stream_open(s)) {
            stream_abandon(s);
            return false;
        }
        channel_send_head(s, MS_REQUEST, 0, number, 0, 0, s->exchanges.start, matched);
        *stage = STAGE_OPEN;
    }
    return true;
}

/* Octets of a request's head, and its end perhaps. False when the stream is not followed any more. */
static bool tell_request(struct stream *s, uint64_t number, const uint8_t *octets, size_t count, bool ended)
{
    uint32_t stage = atomic_load(&s->stage);
    if ((stage == STAGE_CANDIDATE || stage == STAGE_HTTP) && !look_for_get(s, &stage, number, octets, count)) {
        return false;
    }
    unsigned flags = ended ? MS_LAST : 0;
    if (stage == STAGE_OPEN && !quiet_keep(s, MS_REQUEST, flags, number, 0, 0, octets, count)
        && !channel_send_head(s, MS_REQUEST, flags, number, 0, 0, octets, count)) {
        stream_leave(s, MS_WHY_CORE_BEHIND);
        return false;
    }
    uint64_t bit = 1ULL << (number % 64);
    if (ended && s->out.method == FRAMING_HEAD_REQUEST) {
        atomic_fetch_or(&s->exchanges.heads, bit);
    } else if (ended && s->out.method == FRAMING_CONNECT) {
        atomic_fetch_or(&s->exchanges.connects, bit);
    }
    return true;
}

void exchange_sent(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->dialogue.state) {
        ftp_sent(s, octets, count);
        return;
    }
    for (;;) {
        size_t used;
        uint32_t before = s->out.phase;
        enum framing_event event = framing_read(&s->out, octets, count, &used);
        uint64_t number = atomic_load(&s->exchanges.sent);
        if (event == FRAMING_BEGUN) {
            if (!begin_request(s, number)) {
                return;
            }
        } else if (before == MS_HEAD && !tell_request(s, number, octets, used, event == FRAMING_ENDED_HEAD)) {
            return;
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

void exchange_publish(struct stream *s)
{
    atomic_store_explicit(&s->counters->head, s->in.head, memory_order_release);
    atomic_store_explicit(&s->counters->phase, s->in.phase, memory_order_release);
    /* Sequentially consistent: the agent arms, then looks here; exchange_check_stop looks at `armed` after this. */
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
    for (int i = 0; atomic_load(&s->exchanges.sent) < number ? caller_other_writes(s, 0) : caller_other_writes(s, CALLER_COUNTS); i++) {
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
    return atomic_load(&s->exchanges.sent) >= number;
}

/* The first octet of a response: which request does it answer? */
static bool begin_response(struct stream *s)
{
    uint64_t number = atomic_load(&s->exchanges.answered) + 1;
    if (!await_request(s, number)) {
        return false;
    }
    uint64_t bit = 1ULL << (number % 64);
    s->in.method = atomic_load(&s->exchanges.heads) & bit ? FRAMING_HEAD_REQUEST : FRAMING_GET;
    atomic_store(&s->counters->exchange, 0);
    atomic_store(&s->counters->received, 0);
    atomic_store(&s->counters->head, 0);
    atomic_store(&s->counters->tail_from, 0);
    atomic_store(&s->counters->tail_end, 0);
    atomic_store(&s->counters->beginning, 0);
    digest_start(s->counters);
    s->in.digest_keys = shared.digest_keys;
    s->in.digest = atomic_load_explicit(&shared.digest_keys[0], memory_order_relaxed) ? s->counters : NULL;
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
    if (number == s->exchanges.first && s->in.phase == MS_LENGTH && s->in.left > LONG_RESPONSE && !atomic_load(&s->tls)) {
        socket_make_room(s->fd, ROOM);
    }
}

static bool is_told(const struct stream *s, uint64_t number)
{
    return atomic_load(&s->stage) == STAGE_OPEN && number >= s->exchanges.first;
}

/* Octets of an FTP control connection, or the first ones that may be. False: they are none. */
static bool is_of_dialogue(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->dialogue.state == DIALOGUE_DATA) {
        return false;
    }
    bool first = s->in.phase == MS_IDLE && !atomic_load(&s->exchanges.sent) && atomic_load(&s->stage) == STAGE_CANDIDATE;
    if (!s->dialogue.state && !(first && ftp_greets(s, octets, count))) {
        return false;
    }
    if (s->dialogue.state == DIALOGUE_FOLLOWED) {
        s->in.content += count;
        exchange_publish(s);
    }
    ftp_received(s, octets, count);
    return true;
}

void exchange_received(struct stream *s, const uint8_t *octets, size_t count)
{
    if (s->in.phase != MS_LENGTH && is_of_dialogue(s, octets, count)) {
        return;
    }
    for (;;) {
        size_t used;
        uint32_t before = s->in.phase, head = s->in.head;
        enum framing_event event = framing_read(&s->in, octets, count, &used);
        uint64_t number = atomic_load(&s->exchanges.answered) + 1;
        bool told = is_told(s, number);
        if (event == FRAMING_BEGUN) {
            if (!begin_response(s)) {
                s->in.phase = MS_BROKEN;
                stream_leave(s, MS_WHY_SERVER_SPOKE);
                return;
            }
            s->exchanges.head_told = is_told(s, number);
        } else if (told && !s->exchanges.head_told && before != MS_IDLE) {
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
            exchange_publish(s);
            atomic_store(&s->exchanges.answered, number);
            if (told) {
                if (!quiet_end(s, number, s->in.content) && !channel_send(s, MS_DONE, 0, number, (int64_t)s->in.content, 0, NULL, 0)) {
                    stream_leave(s, MS_WHY_CORE_BEHIND);
                }
                agent_ensure(); /* the program may do something else now, and the idle connection may have to move */
            }
        }
        if (s->in.phase == MS_BROKEN) {
            stream_leave(s, s->in.upgraded ? MS_WHY_UPGRADED : MS_WHY_BAD_RESPONSE);
            return;
        }
        octets += used;
        count -= used;
        if (event == FRAMING_MORE) {
            exchange_publish(s);
            return;
        }
    }
}

void exchange_check_stop(struct stream *s)
{
    int64_t content = (int64_t)s->in.content;
    bool due = atomic_load(&s->armed) && (content >= atomic_load(&s->counters->stop_at) || s->asked.when == MS_NOW
               || (s->asked.place == MS_AT_END && atomic_load(&s->exchanges.answered) >= s->arm_exchange));
    if ((due || content >= s->present.end) && gate_close(s)) {
        due_add(s);
    }
}

/*
 * A tail costs a copy of all content. While a download is so fast that the agent has left, or would if it could, that would be
 * felt, and 64 kB are soon collected again, once the core asks for them.
 */
void exchange_keep_tail(struct stream *s)
{
    uint32_t keep = atomic_load_explicit(&s->counters->keep, memory_order_relaxed);
    bool wanted = keep == MS_KEEP_ALWAYS
        || (keep == MS_KEEP_CHEAP && agent_is_there() && !atomic_load_explicit(&agent_is_outrun, memory_order_relaxed));
    if (wanted && !s->in.tail) {
        tail_start(&s->in, s->counters);
    } else if (!wanted && s->in.tail) {
        tail_stop(&s->in, s->counters);
    }
}

/* After so long without octets the core looks at the stream only now and then: it is told when they come again. */
#define STILL_NS 1000000000ULL

void exchange_stirs(struct stream *s, uint64_t before, uint64_t now)
{
    if (before && now > before && now - before >= STILL_NS && atomic_load_explicit(&s->counters->guard, memory_order_relaxed)) {
        channel_send(s, MS_STIRS, 0, atomic_load(&s->counters->exchange), 0, 0, NULL, 0);
    }
}

void exchange_note_read(struct stream *s, size_t octets)
{
    if (atomic_load(&s->stage) != STAGE_OPEN) {
        return;
    }
    bool resuming = atomic_load_explicit(&s->resuming, memory_order_relaxed);
    /* The exact clock costs five times the coarse one: it is for the octets next to a hand-over. */
    uint64_t now = (uint64_t)(resuming || atomic_load(&s->armed) ? now_ns() : coarse_now_ns());
    uint64_t before = atomic_load_explicit(&s->exchanges.last_read, memory_order_relaxed);
    atomic_store_explicit(&s->exchanges.last_read, now, memory_order_relaxed);
    agent_note_read(octets);
    exchange_stirs(s, before, now);
    if (resuming) {
        atomic_store(&s->resuming, 0);
        channel_send(s, MS_RESUMED, 0, atomic_load(&s->counters->exchange), before && now > before ? (int64_t)(now - before) : 0, 0, NULL, 0);
    }
}
