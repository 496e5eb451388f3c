/* messages.c: see messages.h. */
#include "messages.h"

#include <sched.h>
#include <string.h>

#include "handover.h"
#include "process/fork.h"
#include "process/load.h"
#include "process/own.h"
#include "stream/channel.h"
#include "stream/gate.h"
#include "network/socket.h"
#include "tls/twin.h"

/* Whether octets have left the socket that no hook saw. A read that is under way has taken some before it counts them. */
static bool is_past_hooks(const struct stream *s)
{
    uint64_t before = s->present.seen;
    bool idle = !atomic_load(&s->gate.inside);
    int64_t taken = socket_taken(s->fd);
    return idle && taken > (int64_t)(s->present.seen_base + before) + 1 && !atomic_load(&s->gate.inside) && s->present.seen == before;
}

static void answer(struct stream *s, bool arming)
{
    struct ms_info info;
    quiet_tell(s);
    if (arming) {
        s->forks_told = fork_children();
    }
    memset(&info, 0, sizeof info);
    handover_position(s, &info.position);
    info.forked = fork_children() != s->forks;
    socket_info(s->fd, &info);
    info.past_hooks = is_past_hooks(s);
    channel_send(s, MS_INFO, 0, atomic_load(&s->counters->exchange), 0, 0, &info, sizeof info);
}

void messages_handle(const struct ms_message *m, int fd, const void *data, size_t length)
{
    struct stream *s = stream_slot(m->slot);
    if (!s || s->id != m->stream || atomic_load(&s->stage) == STAGE_FREE) {
        own_close(fd);
        return;
    }
    switch (m->kind) {
    case MS_ARM:
        handover_ask(s, m, fd, data, length);
        break;
    case MS_DISARM:
        if (atomic_load(&s->armed) && s->arming == m->arming && (gate_close(s) || atomic_load(&s->gate.state) == GATE_HELD)) {
            handover_refuse(s, MS_WHY_CALLED_OFF);
        }
        break;
    case MS_GIVE_UP:
        handover_give_up(s, (int)m->a);
        break;
    case MS_ASK:
        answer(s, m->a == 1);
        break;
    case MS_TWIN:
    case MS_TWIN_WRITE:
    case MS_TWIN_PEEK:
    case MS_TWIN_READ:
    case MS_TWIN_SKIP:
    case MS_TWIN_CLOSE:
    case MS_TWIN_PUT:
    case MS_TWIN_FLOW:
        twin_message(s, m, data, length, fd);
        break;
    case MS_TWIN_SHOW:
        twin_show_question(s);
        break;
    case MS_RELEASE:
        twin_stream_gone(s->id);
        handover_disarm(s);
        handover_reset(&s->kept.fd);
        if (atomic_load(&s->gate.state)) {
            gate_open(s);
        }
        stream_release(s);
        break;
    }
}

void messages_end(void)
{
    atomic_store(&load_state, LOAD_FAILED);
    atomic_store(&shared.looks, 0);
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if (stage != STAGE_OPEN && stage != STAGE_LEFT && stage != STAGE_CLOSED) {
            continue;
        }
        if (stage != STAGE_CLOSED && (s->kept.fd >= 0 || atomic_load(&s->gate.state) == GATE_HELD)) {
            handover_give_up(s, s->held_error);
        } else {
            handover_disarm(s);
            handover_reset(&s->kept.fd);
            atomic_store(&s->counters->guard, 0);
            gate_open(s);
        }
        /* The program may close it meanwhile. */
        stage = STAGE_OPEN;
        if (!atomic_compare_exchange_strong(&s->stage, &stage, STAGE_LEFT)) {
            stream_release(s);
        }
    }
    for (int64_t until = now_ns() + HANDOVER_PATIENCE_NS; handover_is_pending() && now_ns() < until;) {
        sched_yield();
        handover_look_at_due();
    }
}
