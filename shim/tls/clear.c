/* clear.c: see clear.h. */
#include "clear.h"

#include <errno.h>
#include <sys/socket.h>

#include "call/ending.h"
#include "process/agent.h"
#include "process/calls.h"

/* Of a session on memory, the program itself moves the octets. */
static enum tls_outcome carry_aside(struct tls_data *data, bool writing)
{
    ssize_t n = writing ? membio_send(data->t, data->buffer, data->length)
                        : membio_receive(data->t, data->buffer, data->length, data->peek);
    data->done = n > 0 ? (size_t)n : 0;
    return n > 0 ? TLS_DATA : !n ? TLS_END : ending_is_fatal(errno) ? TLS_BAD : TLS_AGAIN;
}

/* No content comes on a quiet pair. An octet means that the call is wanted for something else (twin_ask). */
static ssize_t read_quiet(struct tls_data *data, int fd)
{
    struct stream *s = tls_stream(data->t);
    ssize_t n = REAL(recv)(fd, data->buffer, data->length, 0);
    if (n > 0) {
        if (s) {
            s->present.seen += (uint64_t)n;
        }
        data->t->kept.asked = true;
        errno = EAGAIN;
        return -1;
    }
    return n;
}

/* A read that has to wait is woken by the agent, should another connection take the pair's place. */
static ssize_t receive(int fd, void *buffer, size_t length, int flags)
{
    ssize_t n = REAL(recv)(fd, buffer, length, flags | MSG_DONTWAIT);
    if (n >= 0 || errno != EAGAIN) {
        return n;
    }
    agent_ensure();
    return REAL(recv)(fd, buffer, length, flags);
}

static ssize_t read_fed(struct tls_data *data, int fd)
{
    struct tls *t = data->t;
    struct stream *s = tls_stream(t);
    if (t->replay) {
        t->replay = false;
        errno = t->replay_error;
        return t->replay_error ? -1 : 0;
    }
    ssize_t n = receive(fd, data->buffer, data->length, data->peek ? MSG_PEEK : 0);
    if (n > 0 && s && !data->peek) {
        s->present.seen += (uint64_t)n;
    }
    return n;
}

/* No other connection takes the pair's place before the rest of a write has gone (busy_writing). */
static ssize_t write_clear(struct tls_data *data, int fd)
{
    struct tls *t = data->t;
    size_t gone = t->gone < data->length ? t->gone : 0;
    ssize_t n;
    do {
        n = REAL(send)(fd, (uint8_t *)data->buffer + gone, data->length - gone, MSG_NOSIGNAL);
        gone += n > 0 ? (size_t)n : 0;
    } while (data->whole && n > 0 && gone < data->length);
    t->gone = n > 0 ? 0 : gone;
    return n > 0 ? (ssize_t)gone : n;
}

enum tls_outcome clear_carry(struct tls_data *data, int fd, bool writing)
{
    if (atomic_load(&data->t->membio.on)) {
        return carry_aside(data, writing);
    }
    ssize_t n = writing ? write_clear(data, fd)
        : atomic_load(&data->t->fed) ? read_fed(data, fd) : read_quiet(data, fd);
    data->done = n > 0 ? (size_t)n : 0;
    data->t->saw_end = data->t->saw_end || (!n && !writing);
    return n > 0 ? TLS_DATA : !n ? TLS_END : ending_is_fatal(errno) ? TLS_BAD : TLS_AGAIN;
}

void clear_end(struct tls *t)
{
    REAL(shutdown)(atomic_load(&t->plain_fd), SHUT_WR);
}
