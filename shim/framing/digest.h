/*
 * digest.h: a digest of all of a response's content that the program has been handed, where another server's is to be proved by all of it
 * (migration.proof = "whole").
 *
 * The octets are the coefficients of a polynomial, and the digest is its values at two secret places modulo the prime 2^61 - 1: two
 * different contents of n octets have the same with a probability of (n / 2^61)^2 at most, whoever has made them. It can be had at every
 * octet, so that the core can compare it where the program stands.
 */
#ifndef MIDSTREAM_DIGEST_H
#define MIDSTREAM_DIGEST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../../cgo/abi.h"

#define DIGEST_PRIME ((1ULL << 61) - 1)

/* The same but for a multiple of the prime, of what is below 2^124: below 2^61 + 8. */
static inline uint64_t digest_reduce(unsigned __int128 n)
{
    uint64_t sum = ((uint64_t)n & DIGEST_PRIME) + (uint64_t)(n >> 61);
    return (sum & DIGEST_PRIME) + (sum >> 61);
}

/* h * key + octet + 1 for each of the octets; of four at a time, with one reduction. */
static inline uint64_t digest_octets(uint64_t h, uint64_t key, const uint8_t *octets, size_t count)
{
    typedef unsigned __int128 wide;
    uint64_t two = digest_reduce((wide)key * key), three = digest_reduce((wide)two * key), four = digest_reduce((wide)two * two);
    for (; count >= 4; octets += 4, count -= 4) {
        h = digest_reduce((wide)h * four + (wide)three * (octets[0] + 1u) + (wide)two * (octets[1] + 1u) + (wide)key * (octets[2] + 1u) + octets[3] + 1);
    }
    for (; count; octets++, count--) {
        h = digest_reduce((wide)h * key + *octets + 1);
    }
    return h;
}

/* No octet of the content has come. Only by the stream's reader. */
static inline void digest_start(struct ms_counters *c)
{
    for (int i = 0; i < 2; i++) {
        atomic_store_explicit(&c->digest[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&c->digest_at, 0, memory_order_release);
}

/* Takes octets from the content offset `at` on. Only by the stream's reader. */
static inline void digest_add(struct ms_counters *c, const _Atomic uint64_t *keys, uint64_t at, const uint8_t *octets, size_t count)
{
    if (atomic_load_explicit(&c->digest_at, memory_order_relaxed) != at) {
        return; /* octets have gone by unseen */
    }
    uint64_t k0 = atomic_load_explicit(&keys[0], memory_order_relaxed), k1 = atomic_load_explicit(&keys[1], memory_order_relaxed);
    uint64_t h0 = atomic_load_explicit(&c->digest[0], memory_order_relaxed), h1 = atomic_load_explicit(&c->digest[1], memory_order_relaxed);
    h0 = digest_octets(h0, k0, octets, count);
    h1 = digest_octets(h1, k1, octets, count);
    /* Who reads finds the place unknown, or what belongs to it. */
    atomic_store_explicit(&c->digest_at, UINT64_MAX, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&c->digest[0], h0, memory_order_relaxed);
    atomic_store_explicit(&c->digest[1], h1, memory_order_relaxed);
    atomic_store_explicit(&c->digest_at, at + count, memory_order_release);
}

#endif
