/*
 * membio.h: TLS sessions that work on memory (OpenSSL's BIO_s_mem, as Python's asyncio has it, and BIO_s_bio, as Boost.Asio):
 * the program itself reads records from its socket and puts them into one memory, and sends what the library puts into
 * another.
 *
 * Which descriptor belongs to a session is told by the ClientHello (hello.h).
 *
 * Whatever the program has read from the descriptor comes into the memory sooner or later, in order. So every octet has a
 * position there, and a hand-over is one too: the twin gets the program's memory in the place of its socket, and what
 * lies before that position, or is still on its way there, is thrown away.
 *
 * A program that waits for its socket calls the library only after it has read something. Where all that is left lies
 * decrypted in the twin (stream.h: pending), it is handed a few octets that mean nothing, which are thrown away likewise.
 */
#ifndef MIDSTREAM_MEMBIO_H
#define MIDSTREAM_MEMBIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;
struct tls;
struct tls_library;


/* A session's positions in its memories. Changed by calls inside the gate, and by the agent. */
struct membio {
    const void *memory;     /* the library's, from which it reads; NULL: no ClientHello has been seen there */
    _Atomic bool on;        /* the descriptor is known */
    _Atomic bool ended;     /* the program has seen the end of its connection */
    _Atomic int64_t origin; /* where the octets of the present connection begin (stream.present.seen) */
    _Atomic int64_t from;   /* where those of the present session begin */
    _Atomic int64_t partial; /* octets of a record that the library has taken without the rest of it */
    _Atomic int64_t sent;   /* up to where the program has sent what the library wrote */
};

/*
 * A call of the library's on a session of no stream is over: if it has begun with a ClientHello in its memory, that is
 * remembered. t may be NULL.
 */
void membio_look(struct tls_library *library, void *handle, struct tls *t);

/* Before a call of the library's: throws away what is not for the present session. */
void membio_skip(struct tls *t);

/*
 * The same before one that reads: the program has not to be told of pending plaintext any more. What it returns goes to the other
 * after the call. `whole`: octets were read, and so no part of a record is left in the library.
 */
uint64_t membio_call(struct tls *t);
void membio_called(struct tls *t, uint64_t before, bool whole);

/* Why a hand-over has to wait, or NULL. By the agent, as the next. */
enum ms_why membio_obstacle(const struct stream *s);

/* Another socket is behind the descriptor; `other`: and another session over it. Before stream.present.seen starts anew. */
void membio_continue(struct tls *t, const struct stream *s, bool other);

/*
 * A read of the descriptor by the program, while there is pending plaintext: what to hand it if the socket has nothing, of `length`
 * octets at most; 0: nothing.
 */
size_t membio_fill(struct stream *s, void *buffer, size_t length);

/* Reads or writes the memory where it holds the clear octets of a relay. As recv() and send(): errno is EAGAIN. */
ssize_t membio_receive(struct tls *t, void *buffer, size_t length, bool peek);
ssize_t membio_send(struct tls *t, const void *octets, size_t length);

/* The session goes. With tls_mutex. */
void membio_gone(struct tls *t);

#endif
