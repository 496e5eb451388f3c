/* carried.c: see carried.h. */
#include "carried.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "process/calls.h"
#include "stream.h"

EXPORT int midstream_carries(int fd, int pid, int number)
{
    struct stream *s = stream_of(fd);
    if (!s) {
        return -1;
    }
    s->carried_pid = pid;
    s->carried_fd = number;
    return 0;
}

EXPORT void midstream_passes(int fd, unsigned why)
{
    struct stream *s = stream_of(fd);
    if (s) {
        s->passes = why;
    }
}

bool carried_is_possible(void)
{
    static _Atomic int known; /* 0: not yet, 1: no, 2: yes */
    int is = atomic_load_explicit(&known, memory_order_relaxed);
    if (!is) {
        const char *reach = getenv("MIDSTREAM_TLS_REACH");
        is = reach && !strcmp(reach, "ca") ? 2 : 1;
        atomic_store(&known, is);
    }
    return is == 2;
}
