/*
 * over.h: all that stream/ asks of what lies over a connection, which is TLS: these functions are in tls/.
 */
#ifndef MIDSTREAM_OVER_H
#define MIDSTREAM_OVER_H

#include "stream.h"

struct tls;

/* This thread is in a call of a TLS library's that is known. */
bool tls_is_inside(void);

/* This thread does Midstream's own work on a twin: what the library calls is no call of the program's, and waits at no gate. */
bool tls_is_own_work(void);

/* What the session reads comes from the program's own handle, with nothing of Midstream's in between. */
bool tls_is_plain(const struct tls *t);

/* Whether what is done on the descriptor is done within a call on the session above it: it is the library's own traffic then. */
bool tls_own_traffic(const struct stream *s);

/* The program's descriptor is not the session's any more. */
void tls_part(struct stream *s);

/* The stream is being opened: the core is told of the session, and what a twin needs is captured. */
void tls_opened(struct stream *s);

/* The session cannot be followed, from now on. NULL is allowed. */
void tls_spoil(struct tls *t, enum ms_why why);

/*
 * The last write of this thread was of a GET, and reached no socket: the session works on memory that could not be tied to
 * a descriptor (membio.h), and the program itself sends the records.
 */
bool tls_works_on_memory(void);

/* More content is known to come than what the session has brought, and its end would pass for that of the content. */
bool tls_owes(const struct stream *s);

/* A ClientHello has been sent on a descriptor. True if it is a remembered one: its session is tied to s. */
bool membio_match(struct stream *s, const uint8_t *random);

/* The program has sent records. */
void membio_sent(struct stream *s, size_t count);

/* Whether the stream's session works on memory. */
bool membio_is_on(const struct stream *s);

/*
 * The connection has ended, orderly or not. Whether that is to be shown to the program all the same: it has all of the
 * response before an orderly end, if not decrypted yet, or has seen the end before.
 */
bool membio_is_through(const struct stream *s, bool orderly);

/* The program is about to see that end. */
void membio_end(struct stream *s);

/* A ClientHello has been sent on the descriptor. */
void below_sent(struct stream *s, const uint8_t *random);

#endif
