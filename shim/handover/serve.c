/* serve.c: what the agent does, and when it stays away (process/agent.h). */
#include <errno.h>
#include <poll.h>

#include "handover.h"
#include "messages.h"
#include "process/agent.h"
#include "process/above.h"
#include "process/calls.h"
#include "process/own.h"
#include "process/threads.h"
#include "stream/channel.h"
#include "stream/due.h"
#include "stream/names.h"

static bool told; /* the core knows the names that were looked up before it was there */

/* AGENT_LOOKS reads, of up to READ_OCTETS, in so short a time are a download faster than most networks, where each system call counts. */
#define FAST_NS 6250000LL

/*
 * So many times in a row, before the agent leaves: a burst is often followed by a pause, in which nobody would start the agent
 * for a migration. 20 MB read by 4 kB are not enough; but the agent does not stay where so many octets are left that the
 * download's processor time counts more.
 */
#define FAST_TIMES 40
#define FAST_TIMES_LONG 2
#define LONG_LEFT (256 << 20)

/* Nothing is under way that only the agent can finish. */
static bool is_idle(void)
{
    uint32_t used = stream_slots_used(), answers = 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        /* Of several downloads one may be waited for by another thread, already, with an agent that is there. */
        answers += atomic_load(&s->stage) == STAGE_OPEN && atomic_load(&s->exchanges.sent) > atomic_load(&s->exchanges.answered);
        if (atomic_load(&s->stage) != STAGE_FREE
            && (atomic_load(&s->armed) || s->next.fd >= 0 || s->kept.fd >= 0 || s->present.end != MS_NO_STOP
                || atomic_load(&s->gate.state))) {
            return false;
        }
    }
    return answers <= 1 && !handover_is_pending() && due_is_empty() && !atomic_load(&stream_untold_count);
}

/* How many times a download has to have been fast before the agent leaves. */
static int fast_times(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (atomic_load(&s->stage) == STAGE_OPEN && atomic_load(&s->counters->phase) == MS_LENGTH
            && s->in.length - (int64_t)atomic_load(&s->counters->received) > LONG_LEFT) {
            return FAST_TIMES_LONG;
        }
    }
    return FAST_TIMES;
}

/* The agent leaves; false when something came in at the last moment. */
static bool leave(void)
{
    struct pollfd channel = { .fd = atomic_load(&load_channel), .events = POLLIN };
    atomic_store(&agent_there, 0);
    if (!atomic_load(&shared.wanted) && !atomic_load(&stream_untold_count) && due_is_empty() && REAL(poll)(&channel, 1, 0) == 0) {
        return true;
    }
    uint32_t absent = 0;
    return !atomic_compare_exchange_strong(&agent_there, &absent, 1); /* or another one has come */
}

/* False when the channel has ended. */
static bool serve(struct pollfd *wait)
{
    atomic_store(&shared.wanted, 0);
    wait[0].fd = atomic_load(&load_channel);
    wait[1].fd = atomic_load(&agent_event);
    int ready = REAL(poll)(wait, 2, handover_is_pending() || atomic_load(&stream_untold_count) ? 1 : -1);
    if (!told && atomic_load(&load_state) == LOAD_UP) {
        told = true;
        names_flush();
    }
    own_lock();
    if (ready > 0 && wait[1].revents) {
        uint64_t count;
        REAL(read)(atomic_load(&agent_event), &count, sizeof count); /* its number may have changed meanwhile */
    }
    handover_look_at_due();
    if (atomic_load(&stream_untold_count)) {
        stream_tell_closed();
    }
    bool more = true;
    if (ready > 0 && wait[0].revents) {
        static char data[MS_DATA_MAX]; /* there is one agent at a time */
        struct ms_message message;
        int fd;
        ssize_t length = channel_receive(&message, data, sizeof data, &fd);
        more = length >= 0 || errno == EAGAIN;
        if (length >= 0) {
            messages_handle(&message, fd, data, (size_t)length);
        }
    }
    own_unlock();
    return more;
}

void *agent_main(void *unused)
{
    (void)unused;
    struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };
    threads_begin("midstream-agent");
    load_part_with_core();
    atomic_store(&agent_is_outrun, false);
    uint32_t mark = atomic_load(&agent_reads);
    int64_t since = now_ns();
    int fast = 0;
    while (serve(wait)) {
        uint32_t count = atomic_load(&agent_reads) - mark;
        if (count < AGENT_LOOKS) {
            continue;
        }
        int64_t now = now_ns();
        fast = now - since < FAST_NS * (count / AGENT_LOOKS) ? fast + 1 : 0;
        bool outrun = fast >= FAST_TIMES_LONG && fast >= fast_times();
        atomic_store_explicit(&agent_is_outrun, outrun, memory_order_relaxed);
        if (outrun && told && is_idle() && leave()) {
            return NULL;
        }
        mark += count;
        since = now;
    }
    messages_end();
    return NULL;
}

void handover_forget(void)
{
    due_forget();
    handover_forget_pending();
    told = false;
}
