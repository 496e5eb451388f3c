/*
 * ftp.h: FTP's control connections (RFC 959), and their data connections in passive mode: recognises them, finds where the next data
 * connection leads, and tells the core what is said, once a file is asked for. What that means is the core's (core/ftp).
 *
 * By the thread inside a call on the control connection, but for ftp_connected.
 */
#ifndef MIDSTREAM_FTP_H
#define MIDSTREAM_FTP_H

#include "stream/stream.h"

/* The server has spoken before the program has. False: not as one of FTP's does. */
bool ftp_greets(struct stream *s, const uint8_t *octets, size_t count);

/* Octets on one that has greeted, or is followed; ftp_sent also of a data connection's. */
void ftp_sent(struct stream *s, const uint8_t *octets, size_t count);
void ftp_received(struct stream *s, const uint8_t *octets, size_t count);

/* A connection is made, or begun. True if it is the data connection that the server of a control connection has offered. */
bool ftp_connected(struct stream *s);

/*
 * The control connection whose data connection an address is for, where the core carries its dialogue on, NULL if there is none: the
 * socket is to be connected to `to` instead, over the interface dialogue.device.
 */
const struct stream *ftp_carried(const struct sockaddr *address, socklen_t length, struct sockaddr_in6 *to);

#endif
