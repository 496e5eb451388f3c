/*
 * full_pipe.c: what is done before a splice() that may wait. Exit status 0: the agent is started where the call is going to wait, for octets
 * or for room in the pipe, and nowhere else.
 */
#include "hooks/splice.c"

#include "not_called.h"

#include <stdio.h>
#include <stdlib.h>

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t agent_there;
NOT_CALLED(read_begin_in_turn)
NOT_CALLED(read_end)
NOT_CALLED(read_end_unseen)
NOT_CALLED(unchunk_step)
NOT_CALLED(unchunk_took)
NOT_CALLED(write_begin)
NOT_CALLED(write_end_unseen)
static int started;

void agent_ensure(void)
{
    started++;
}

static void expect(const char *what, const struct stream *s, int pipe, unsigned flags, int times)
{
    started = 0;
    before_waiting(s, pipe, flags);
    if (started != times) {
        fprintf(stderr, "%s: started %d times\n", what, started);
        exit(1);
    }
}

int main(void)
{
    int full[2], empty[2], ends[2];
    char octets[65536] = { 0 };
    if (pipe2(full, O_NONBLOCK) || pipe(empty) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) {
        return 2;
    }
    while (write(full[1], octets, sizeof octets) > 0) {
    }
    static struct stream s = { .stage = STAGE_OPEN };
    s.fd = ends[0];
    expect("no octets", &s, empty[1], 0, 1);
    expect("no octets, not to wait for the pipe", &s, empty[1], SPLICE_F_NONBLOCK, 1);
    if (write(ends[1], octets, 1) != 1) {
        return 2;
    }
    expect("octets, and room", &s, empty[1], 0, 0);
    expect("octets, and no room", &s, full[1], 0, 1);
    expect("octets, and no room, which is not waited for", &s, full[1], SPLICE_F_NONBLOCK, 0);
    agent_there = 1;
    expect("it is there", &s, full[1], 0, 0);
    return 0;
}
