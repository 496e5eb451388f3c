/*
 * readiness.h: what the next read of a stream will find, for every call that shows it: poll(), select(), epoll_wait(), ioctl(FIONREAD). A
 * look ahead (MSG_PEEK) is a read like any other.
 *
 * A program that has been told of octets, and is then told that there are none, may give up; one that is told of the end
 * beside octets may take the first short read for it (libuv). While a stream is guarded, its end is not the program's to see, so
 * a wait meets it in the place of the read, and holds the program until the core has answered. As long as octets are unread, nothing but
 * those is shown.
 */
#ifndef MIDSTREAM_READINESS_H
#define MIDSTREAM_READINESS_H

#include <poll.h>

#include "stream/stream.h"

/* In poll(2) and in epoll(7) they have the same values. */
#define READINESS_INPUT ((uint32_t)(POLLIN | POLLRDNORM))
#define READINESS_FAILURE ((uint32_t)(POLLERR | POLLHUP | POLLRDHUP))

enum readiness {
    READINESS_NOTHING,
    READINESS_OCTETS,
    READINESS_END, /* FIN, or an error */
};

/* Octets lie decrypted in a TLS session, where the kernel does not see them. */
static inline bool readiness_is_pending(const struct stream *s)
{
    return atomic_load_explicit(&s->pending, memory_order_relaxed);
}

/* What a read would find. One system call, two where the connection has ended. Keeps errno. */
enum readiness readiness_of(const struct stream *s);

/*
 * The kernel has shown events of a stream, of which others may have been replaced meanwhile (`changed`). Returns those that the program
 * may be shown, some more than those asked for perhaps. *again: none, for something else is behind the descriptor now, or may be; the
 * wait is to be repeated. Holds the caller where the connection has ended and is guarded. Keeps errno.
 */
uint32_t readiness_shown(struct stream *s, uint32_t events, bool changed, bool *again);

/*
 * What FIONREAD says, of what the kernel has said: as little as none only where a wait would not show octets. Within the gate. Keeps
 * errno.
 */
int readiness_unread(struct stream *s, int unread);

/* A read of the stream finds nothing, although a wait has told of octets: of another connection, which had the descriptor then. */
bool readiness_is_denied(const struct stream *s);

/* Waits, bounded, for what was promised. Not within the gate. Keeps errno. */
void readiness_await(int fd);

#endif
