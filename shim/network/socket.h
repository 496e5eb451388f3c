/* socket.h: what the kernel knows of a TCP socket, and carrying a socket's attributes to another. */
#ifndef MIDSTREAM_SOCKET_H
#define MIDSTREAM_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "../../cgo/abi.h"

/* Somebody has answered by TCP, be it with RST: what has failed has not failed for lack of a way there. */
bool socket_was_answered(int fd);

/* All that was sent has been acknowledged: the peer's host is there. */
bool socket_was_heard(int fd);

/* The smoothed round-trip time (RFC 6298) in ns, 0 unknown. */
int64_t socket_rtt_ns(int fd);

/* FIONREAD, 0 when it cannot be told. */
uint32_t socket_unread(int fd);

/* Octets that have left the socket's receive queue, hooks or not: tcpi_bytes_received - FIONREAD; -1 unknown. */
int64_t socket_taken(int fd);

uint64_t socket_inode(int fd);

/*
 * Makes the receive buffer large enough for `octets`, as far as the system allows, unless the program has fixed its size. The
 * kernel goes on tuning it by what is read.
 */
void socket_make_room(int fd, int octets);

/*
 * File status flags, socket options and ownership, as far as they differ; nothing else may use `to` yet.
 * `buffers`: also the sizes of buffers that the program has fixed.
 */
void socket_copy_attributes(int from, int to, bool buffers);

/* Ends the connection with RST, also where another thread still waits on it, and closes the descriptor. */
void socket_reset(int fd);

void socket_info(int fd, struct ms_info *info);

#endif
