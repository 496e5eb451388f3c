/*
 * own_work.c: the agent has closed a stream's gate and puts a twin on its descriptor, and the library asks for TLS in the kernel there,
 * as OpenSSL with enable-ktls does in SSL_set_fd(3). Exit status 1 if that waits for the gate, which nobody else would open, or
 * reaches the kernel.
 */
#include "process/clock.c"
#include "stream/gate.c"
#include "hooks/sockopt.c"
#include "wait/above.h"

#include <sys/socket.h>

#include "not_called.h"

_Atomic(struct stream *) stream_table[STREAM_TABLE];
_Atomic uint32_t agent_there = 1;
struct ms_shared shared;
_Atomic(uint32_t *) fork_page;
_Atomic uint32_t withdraw_silent;

static struct stream stream = { .fd = 5, .stage = STAGE_OPEN, .gate = GATE_CLOSED };
static bool is_own_work;

bool tls_is_own_work(void)
{
    return is_own_work;
}

bool tls_own_traffic(const struct stream *s)
{
    return !s;
}

bool caller_is_here(const struct stream *s)
{
    return !s;
}

void agent_wake(void)
{
}

NOT_CALLED(agent_ensure)
NOT_CALLED(connect_is_bound)
NOT_CALLED(fork_forget)
NOT_CALLED(attempt_settle)
NOT_CALLED(unchunk_unread)

int main(void)
{
    int64_t begun = now_ns();
    atomic_store(&stream_table[5], &stream);
    is_own_work = true;
    int result = setsockopt(5, IPPROTO_TCP, TCP_ULP, "tls", 4), error = errno;
    if (now_ns() - begun > GATE_PATIENCE_NS / 2) {
        fprintf(stderr, "it has waited at the gate that it has closed itself\n");
        return 1;
    }
    if (!result || error != ENOENT) {
        fprintf(stderr, "setsockopt: %d, errno %d; want -1, %d\n", result, error, ENOENT);
        return 1;
    }
    if (atomic_load(&stream.gate.inside)) {
        fprintf(stderr, "it is still inside\n");
        return 1;
    }
    return 0;
}
