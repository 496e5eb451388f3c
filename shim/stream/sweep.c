/* sweep.c: what concerns all streams at once, as the process's life brings it; see process/above.h. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "above.h"
#include "gate.h"
#include "process/above.h"
#include "process/calls.h"
#include "stream.h"

/* Nobody takes the chunk framing out for a child: it is told ENOTCONN, and not handed a wrong octet. */
static void cut_off(int fd)
{
    int flags = REAL(fcntl)(fd, F_GETFD, NULL), none = REAL(socket)(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (none >= 0) {
        REAL(syscall)(SYS_dup3, none, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        REAL(syscall)(SYS_close, none);
    }
}

void stream_forget_all(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        uint32_t stage = atomic_load(&s->stage);
        if (stage == STAGE_FREE) {
            continue;
        }
        if (stream_of(s->fd) == s) {
            stream_mark(s->fd, NULL);
            if (atomic_load(&s->present.unchunks)) {
                cut_off(s->fd);
            }
        }
        attempt_forget(s);
        atomic_store(&s->gate.state, 0);
        atomic_store(&s->gate.inside, 0);
        atomic_store(&s->armed, 0);
        atomic_store(&s->due, 0);
        atomic_store(&s->untold, 0);
        atomic_store(&s->counters->stream, 0);
        atomic_store(&s->stage, STAGE_FREE);
    }
    atomic_store(&gates_closed, 0);
    atomic_store(&stream_open_count, 0);
    atomic_store(&attempts_open, 0);
    atomic_store(&stream_untold_count, 0);
}

void stream_moved(int fd, int moved)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (s->next.fd == fd) {
            s->next.fd = moved;
        }
        if (s->kept.fd == fd) {
            s->kept.fd = moved;
        }
    }
}

bool stream_is_relaying(void)
{
    uint32_t used = stream_slots_used();
    for (uint32_t slot = 0; slot < used; slot++) {
        struct stream *s = stream_slot(slot);
        if (atomic_load(&s->stage) == STAGE_OPEN && s->present.relayed && s->kept.fd < 0 && atomic_load(&s->exchanges.sent) > atomic_load(&s->exchanges.answered)) {
            return true;
        }
    }
    return false;
}

