/* arming.c: a hand-over is asked for, refused, called off or given up; see handover.h. */
#include <errno.h>
#include <string.h>

#include "handover.h"
#include "process/calls.h"
#include "process/own.h"
#include "stream/channel.h"
#include "wait/epoll.h"
#include "stream/gate.h"
#include "network/socket.h"
#include "stream/still.h"
#include "swap.h"
#include "tls/twin.h"

void handover_reset(int *fd)
{
    if (*fd >= 0) {
        own_remove(*fd);
        socket_reset(*fd);
        *fd = -1;
    }
}

void handover_come_earlier(struct stream *s)
{
    if (s->asked.what == MS_PAIR && s->asked.former == MS_SPARE && s->present.end < s->asked.at) {
        s->asked.at = s->present.end;
    }
}

void handover_disarm(struct stream *s)
{
    atomic_store(&s->armed, 0);
    atomic_store(&s->counters->stop_at, s->present.end);
    s->decided = false;
    still_end(s, s->fd);
    twin_free(s->next.twin);
    s->next.twin = NULL;
    own_drop(&s->next.fd);
    own_drop(&s->present.fd);
}

void handover_refuse(struct stream *s, enum ms_why why)
{
    uint64_t exchange = s->arm_exchange;
    int64_t at = (int64_t)s->in.content;
    if (socket_inode(s->fd) == s->present.inode) {
        epoll_join(s, s->fd);
    }
    handover_disarm(s);
    if (atomic_load(&s->gate.state) == GATE_HELD) {
        /* Its connection has ended: the core has still to answer that. */
        channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
        return;
    }
    if (s->woken) {
        atomic_store(&s->gate.state, GATE_HELD);
        /*
         * What cannot be is: SHUT_RD has been used, so the connection cannot go on. The gate stays closed, and the core is told as if
         * the connection had failed. It has not come to an end that a program might take for the content's.
         */
        channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
        channel_send(s, MS_FAILED, MS_HELD, exchange, ECONNRESET, at, NULL, 0);
        return;
    }
    if (!handover_is_at_end(s)) {
        gate_open(s);
    }
    channel_send_why(s, MS_UNMOVED, exchange, at, 0, why);
}

bool handover_is_at_end(const struct stream *s)
{
    return (int64_t)atomic_load(&s->counters->received) >= s->present.end;
}

/* What has come is not armed, for a reason that the core is told. */
static void decline(const struct stream *s, uint64_t exchange, int fd, struct twin *twin, enum ms_why why)
{
    own_close(fd);
    twin_free(twin);
    channel_send_why(s, MS_UNMOVED, exchange, 0, 0, why);
}

/* Whether the stream cannot be given what is asked for, whatever the program does next. */
static enum ms_why impediment(const struct stream *s, const struct ms_handover *asked, bool restores)
{
    int least = 1;
    socklen_t size = sizeof least;
    if (atomic_load(&s->stage) != STAGE_OPEN && !restores && s->present.end == MS_NO_STOP) {
        return MS_WHY_LEFT_ALONE;
    }
    if (asked->until != MS_NO_STOP && !REAL(getsockopt)(s->fd, SOL_SOCKET, SO_RCVLOWAT, &least, &size) && least > 1) {
        return MS_WHY_LOW_WATER; /* what stands before the offset may be too little for it to be read at all */
    }
    return MS_WHY_NONE;
}

/* `restores`: the kept connection is put back, of which nobody is told but by MS_MOVED. */
static void arm(struct stream *s, const struct ms_handover *asked, uint64_t exchange, int fd, struct twin *twin, bool restores)
{
    enum ms_why why = impediment(s, asked, restores);
    if (why) {
        decline(s, exchange, fd, twin, why);
        return;
    }
    handover_disarm(s);
    s->next.fd = fd;
    s->next.twin = twin;
    s->asked = *asked;
    s->restores = restores;
    s->arm_exchange = exchange;
    if (twin) {
        twin_expect(twin, &asked->answer, asked->reframed);
    }
    if (twin && asked->when != MS_NOW && (asked->place == MS_IN_CONTENT || asked->place == MS_IN_TRAILER)) {
        s->asked.at += twin_drain(twin);
    }
    handover_come_earlier(s);
    s->gate_closed_at = 0;
    if (asked->when == MS_NOW) {
        atomic_store(&s->armed, 1);
        gate_close(s);
        handover_look(s);
        return;
    }
    bool at_end = asked->place == MS_AT_END;
    atomic_store(&s->counters->stop_at, at_end || s->present.end < s->asked.at ? s->present.end : s->asked.at);
    atomic_store(&s->armed, 1);
    /* A reader that passed the offset before it was set does not look again. */
    if (at_end ? atomic_load(&s->exchanges.answered) >= exchange
               : (int64_t)atomic_load(&s->counters->received) >= s->asked.at || atomic_load(&s->counters->exchange) != exchange) {
        if (gate_close(s) || (handover_is_at_end(s) && atomic_load(&s->gate.state) == GATE_CLOSED)) {
            handover_look(s);
        }
    }
}

void handover_ask(struct stream *s, const struct ms_message *m, int fd, const void *data, size_t length)
{
    struct ms_handover asked = { .until = MS_NO_STOP };
    struct twin *twin = NULL;
    memcpy(&asked, data, length < sizeof asked ? length : sizeof asked);
    if (atomic_load(&s->armed)) {
        handover_refuse(s, MS_WHY_REPLACED); /* the core has given it up */
    }
    s->arming = m->arming;
    if (asked.what == MS_SESSION) {
        twin = twin_take(s, asked.twin, &fd);
    }
    if (fd >= 0) {
        arm(s, &asked, m->exchange, fd, twin, false);
    } else {
        channel_send_why(s, MS_UNMOVED, m->exchange, 0, 0, asked.what == MS_SESSION ? MS_WHY_TWIN_ENDED : MS_WHY_NO_DESCRIPTOR);
    }
}

void handover_give_up(struct stream *s, int error)
{
    if (s->kept.fd >= 0) {
        gate_close(s); /* what it has waited on may end just now, and is not to be taken for its connection */
    }
    atomic_store(&s->counters->guard, 0);
    s->pending_error = error;
    handover_disarm(s);
    if (s->kept.fd < 0) {
        gate_open(s);
        return;
    }
    s->arming = 0;
    struct ms_handover back = { .when = MS_NOW, .until = MS_NO_STOP };
    int kept = s->kept.fd;
    s->kept.fd = -1;
    arm(s, &back, 0, kept, NULL, true);
}
