/* channel.h: the shim's end of the socket pair to the core; messages as abi.h lists them. */
#ifndef MIDSTREAM_CHANNEL_H
#define MIDSTREAM_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "stream.h"

/*
 * Sends one message about a stream (NULL: about none). Never blocks before the core is up, and for
 * some milliseconds at most afterwards; false when it could not be sent. Keeps errno. Any thread.
 */
bool channel_send(const struct stream *s, unsigned kind, unsigned flags, uint64_t exchange, int64_t a, int64_t b,
                  const void *data, size_t length);

/* Sends a reason, of MS_LEFT, MS_UNMOVED or MS_TWIN_FAILED. */
static inline bool channel_send_why(const struct stream *s, unsigned kind, uint64_t exchange, int64_t a, int64_t b, enum ms_why why)
{
    uint32_t reason = why; /* struct ms_reason, without a detail */
    return channel_send(s, kind, 0, exchange, a, b, &reason, sizeof reason);
}

/* Sends octets of a head in as many messages as they need; `flags`, a and b go with the last one. */
bool channel_send_head(const struct stream *s, unsigned kind, unsigned flags, uint64_t exchange, int64_t a, int64_t b,
                       const void *data, size_t length);

/* Receives one message, by the agent only; -1 at the end, with errno EAGAIN if there is none. The attached descriptor, or -1, goes to *fd. */
ssize_t channel_receive(struct ms_message *message, void *data, size_t length, int *fd);

#endif
