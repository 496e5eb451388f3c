/* channel.c: sends and receives messages; see channel.h and ../cgo/abi.h. */
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "process/calls.h"
#include "process/load.h"

/*
 * How long a program's call may wait for a core that is up, but behind: as long as a slow network read. And for one that is about to come,
 * before which the channel is full of short exchanges. A fork that keeps it from coming is waited for beside that: its handlers may last,
 * and may, if they are badly made, wait for this very thread.
 */
#define BEHIND_MS 20
#define COMING_MS 80
#define FORK_MS 1000

/* How often is looked whether there is room. */
#define ROOM_MS 5

/* For how long has been waited: for the core, and for forks. */
struct waited {
    int core, forks;
};

/* Waits a little for room in the channel. False: for no longer. */
static bool await_room(int channel, struct waited *waited)
{
    uint32_t state = atomic_load(&load_state);
    bool forks = load_is_paused() && waited->forks < FORK_MS;
    if ((!forks && waited->core >= (state == LOAD_STARTING ? COMING_MS : BEHIND_MS)) || state == LOAD_FAILED) {
        return false;
    }
    *(forks ? &waited->forks : &waited->core) += ROOM_MS;
    load_hasten();
    struct pollfd writable = { .fd = channel, .events = POLLOUT };
    REAL(poll)(&writable, 1, ROOM_MS);
    return true;
}

bool channel_send(const struct stream *s, unsigned kind, unsigned flags, uint64_t exchange, int64_t a, int64_t b,
                  const void *data, size_t length)
{
    int saved = errno;
    if (atomic_load(&load_channel) < 0) {
        return false;
    }
    struct ms_message message = {
        .kind = (uint16_t)kind, .flags = (uint16_t)flags, .exchange = exchange, .a = a, .b = b,
    };
    if (s) {
        message.slot = (uint32_t)(s->counters - shared.counters);
        message.stream = s->id;
        message.arming = kind == MS_MOVED || kind == MS_UNMOVED ? s->arming : 0;
    }
    struct iovec parts[2] = { { &message, sizeof message }, { (void *)data, length } };
    struct msghdr header = { .msg_iov = parts, .msg_iovlen = length ? 2 : 1 };
    ssize_t sent;
    for (struct waited waited = { 0 };;) {
        atomic_fetch_add(&own_users, 1);
        int channel = atomic_load(&load_channel);
        sent = REAL(sendmsg)(channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        atomic_fetch_sub(&own_users, 1);
        if (sent >= 0 || (errno != EAGAIN && errno != EINTR) || !await_room(channel, &waited)) {
            break;
        }
    }
    errno = saved;
    return sent >= 0;
}

bool channel_send_head(const struct stream *s, unsigned kind, unsigned flags, uint64_t exchange, int64_t a, int64_t b,
                       const void *data, size_t length)
{
    while (length > MS_DATA_MAX) {
        if (!channel_send(s, kind, 0, exchange, 0, 0, data, MS_DATA_MAX)) {
            return false;
        }
        data = (const char *)data + MS_DATA_MAX;
        length -= MS_DATA_MAX;
    }
    return (!length && !flags) || channel_send(s, kind, flags, exchange, a, b, data, length);
}

ssize_t channel_receive(struct ms_message *message, void *data, size_t length, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 4)];
    } control;
    struct iovec parts[2] = { { message, sizeof *message }, { data, length } };
    struct msghdr header = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control,
    };
    *fd = -1;
    ssize_t received;
    do {
        received = REAL(recvmsg)(atomic_load(&load_channel), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < (ssize_t)sizeof *message) {
        return -1;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(int))) {
        /*
         * It has the lowest free number for a moment: the kernel lets nobody choose, neither here (receive_fd in fs/file.c) nor
         * with pidfd_getfd(2) or io_uring's IORING_OP_FIXED_FD_INSTALL. Whatever the program opens just then gets the next one.
         */
        int got;
        memcpy(&got, CMSG_DATA(c), sizeof got);
        *fd = own_lift(got);
    }
    return received - (ssize_t)sizeof *message;
}
