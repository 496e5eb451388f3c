/*
 * recognise.h: what the first octets on a connection say: HTTP, a tunnel through a proxy, TLS, or something that is left alone.
 *
 * By the thread that writes them.
 */
#ifndef MIDSTREAM_RECOGNISE_H
#define MIDSTREAM_RECOGNISE_H

#include "stream/stream.h"

/* 1: a GET begins; 0: another method, or not yet clear; -1: not HTTP. */
int recognise_method(const char *start, size_t length);

/*
 * Before the stream is open: looks at the first octets of a request, in as many pieces as they come. Returns
 * false when the stream has been left alone.
 */
bool recognise_request(struct stream *s, const uint8_t *octets, size_t count);

/*
 * Before the stream is open: octets that are none of HTTP's. True when there is no more to be done with them; a TLS session
 * is seen where its library is called.
 */
bool recognise_opaque(struct stream *s, const uint8_t *octets, size_t count);

/*
 * Records that the program itself has sent, of a session that is known: if they are of content, its library writes by another
 * way than its data calls (Tcl's by BIO_write(3)), and no request will be seen.
 */
void recognise_carried(struct stream *s, const uint8_t *octets, size_t count);

/* The program goes on with it where no hook sees it: said of it, if it may be for HTTP. */
void recognise_past_hooks(struct stream *s, enum ms_why why);

#endif
