/* splice.c: octets that go from or to a socket without passing a buffer of the program's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "process/agent.h"
#include "process/calls.h"
#include "call/call.h"
#include "call/unchunk.h"

static ssize_t send_tracked(struct stream *s, int out, int in, off64_t *offset, size_t count)
{
    struct call call;
    write_begin(&call, s);
    ssize_t result = REAL(sendfile64)(out, in, offset, count);
    write_end_unseen(&call, result);
    return result;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
    struct stream *s = stream_of(out);
    return s ? send_tracked(s, out, in, offset, count) : REAL(sendfile64)(out, in, offset, count);
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    struct stream *s = stream_of(out);
    if (!s || sizeof(off_t) != sizeof(off64_t)) {
        return REAL(sendfile)(out, in, offset, count);
    }
    return send_tracked(s, out, in, (off64_t *)offset, count);
}

/* What is looked at of octets that are about to go by: of a head, mostly. */
#define LOOK 1024

/*
 * Whether octets have to be seen before they go by. In the middle of content only their number counts: they may go on to its
 * end, and no further, so that the framing behind it is seen again.
 */
static bool has_to_see(const struct call *call, size_t *allowed)
{
    const struct stream *s = call->stream;
    uint64_t passes = s->in.phase == MS_LENGTH ? s->in.left : s->in.phase == MS_CLOSE ? UINT64_MAX : s->in.phase == MS_CHUNK_DATA ? s->in.left - 1 : 0;
    if (!call->tracked || !call->alone) {
        return false;
    }
    if (atomic_load_explicit(&s->counters->keep, memory_order_relaxed) == MS_KEEP_ALWAYS) {
        passes = 0;
    }
    *allowed = passes && passes < *allowed ? (size_t)passes : *allowed;
    return !passes;
}

/*
 * A call that waits, for octets or for room in the pipe, does so with the agent, or nothing could wake it. SPLICE_F_NONBLOCK does not keep
 * the kernel from waiting for a TCP socket: that is up to O_NONBLOCK. Keeps errno.
 */
static void before_waiting(const struct stream *s, int pipe, unsigned flags)
{
    if (!agent_is_there() && atomic_load(&s->stage) == STAGE_OPEN) {
        int saved = errno;
        struct pollfd look[] = { { .fd = s->fd, .events = POLLIN }, { .fd = flags & SPLICE_F_NONBLOCK ? -1 : pipe, .events = POLLOUT } };
        if (REAL(poll)(look, 2, 0) < (flags & SPLICE_F_NONBLOCK ? 1 : 2)) {
            agent_ensure();
        }
        errno = saved;
    }
}

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags)
{
    struct stream *from = stream_of(in), *to = stream_of(out);
    if (from && length) {
        for (;;) {
            struct call call;
            int how = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
            size_t limit = read_begin_in_turn(&call, from, how), allowed = length < limit ? length : limit;
            ssize_t result;
            char look[LOOK];
            struct iovec seen = { look, 0 };
            if (call.error) {
                result = -1;
                errno = call.error;
            } else if (!unchunk_step(&call, how, &allowed, &result)) {
                before_waiting(from, out, flags);
                if (has_to_see(&call, &allowed)) {
                    seen.iov_len = allowed < sizeof look ? allowed : sizeof look;
                    result = REAL(recv)(in, seen.iov_base, seen.iov_len, MSG_PEEK);
                    allowed = result > 0 ? (size_t)result : 0;
                }
                if (!seen.iov_len || allowed) {
                    result = REAL(splice)(in, in_offset, out, out_offset, allowed, flags);
                }
                unchunk_took(&call, result);
                call.more = call.unchunks && result > 0 && (size_t)result == allowed && allowed < length;
            }
            /* EINVAL, ESPIPE and the like speak of the pipe, not of the connection. */
            if (!(seen.iov_len ? read_end(&call, result, &seen, 1) : read_end_unseen(&call, result))) {
                return result;
            }
        }
    }
    if (to) {
        struct call call;
        write_begin(&call, to);
        ssize_t result = REAL(splice)(in, in_offset, out, out_offset, length, flags);
        write_end_unseen(&call, result);
        return result;
    }
    return REAL(splice)(in, in_offset, out, out_offset, length, flags);
}
