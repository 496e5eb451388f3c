/* carried.c: see carried.h. */
#include "carried.h"

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
