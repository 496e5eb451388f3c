/* still.c: see still.h. */
#include "still.h"

#include <linux/filter.h>

#include "caller.h"
#include "process/calls.h"
#include "network/socket.h"

/* Nothing waits to be read, and what has been read is counted. */
static bool is_counted(const struct stream *s)
{
    int64_t taken = socket_taken(s->fd);
    uint64_t reads = atomic_load(&((struct stream *)s)->callers.reading) | atomic_load(&((struct stream *)s)->callers.records);
    return !socket_unread(s->fd) && !(reads & CALLER_COUNTS) && (taken < 0 || taken == (int64_t)(s->present.seen_base + s->present.seen));
}

static bool has_filter(int fd)
{
    socklen_t instructions = 0;
    return REAL(getsockopt)(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &instructions) || instructions;
}

bool still_begin(struct stream *s)
{
    static struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
    struct sock_fprog program = { .len = 1, .filter = nothing };
    if (!is_counted(s)) {
        return false;
    }
    if (!has_filter(s->fd)) {
        s->still = !REAL(setsockopt)(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    }
    if (!is_counted(s)) {
        still_end(s, s->fd);
        return false;
    }
    return true;
}

void still_end(struct stream *s, int fd)
{
    int none = 0;
    if (s->still) {
        s->still = false;
        REAL(setsockopt)(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    }
}
