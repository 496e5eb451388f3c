/*
 * library.h: which copy of a TLS library a call is meant for.
 *
 * A copy's functions are looked up when the first call of a caller arrives, through the object that calls.
 */
#ifndef MIDSTREAM_LIBRARY_H
#define MIDSTREAM_LIBRARY_H

#include "tls/tls.h"

/* The library that is meant by a call of `call` from `caller`. NULL: none can be found. */
struct tls_library *tls_library_of(enum tls_call call, const struct tls_kind *kind, const void *caller);

/* Copies of TLS libraries in one process. */
#define TLS_LIBRARIES 16

/* The function of the object at `base`, for a program that has looked it up: lookup.h's entry, NULL if there is no room. */
void *tls_library_entry(const void *base, enum tls_call call);

/* Such an entry has been called, and a hook follows: one more than the library's number, and below that the function's. 0: no such entry. */
#define TLS_MEANT_COPY 16
#define TLS_MEANT_CALL 0xffff
extern _Thread_local uint32_t tls_meant;

/* In a hook, once and before anything else: the caller as tls_library_of is to be told of it. */
const void *tls_library_meant(void);
static inline const void *tls_caller(const void *address)
{
    return tls_meant ? tls_library_meant() : address;
}

#endif
