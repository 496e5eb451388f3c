/*
 * tail.c: see tail.h. All tails lie in one range of addresses, so that the core finds them by their places in it. A slot keeps its
 * place for the next stream that uses it.
 */
#include "tail.h"

#include "process/above.h"

#include <sys/mman.h>

#define LARGE ((size_t)TAIL_SIZE + MS_BEGINNING)
#define SMALL ((size_t)TAIL_SIZE_MANY + MS_BEGINNING)
#define TAILS_ALL (TAILS_LARGE * LARGE + (MS_SLOTS - TAILS_LARGE) * SMALL)

static _Atomic(uint8_t *) tails;

uint8_t *tail_memory(void)
{
    uint8_t *before = atomic_load(&tails);
    if (before) {
        return before;
    }
    /* Addresses only: what is kept there is made when it is. */
    uint8_t *memory = mmap(NULL, TAILS_ALL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&tails, &before, memory)) {
        munmap(memory, TAILS_ALL);
        return before;
    }
    return memory;
}

/* A place for a slot's tail; false: there is no memory for it. */
static bool find_place(struct ms_counters *counters)
{
    static _Atomic uint32_t count;
    uint8_t *memory = tail_memory();
    uint32_t number = atomic_fetch_add(&count, 1);
    bool large = number < TAILS_LARGE;
    size_t size = large ? TAIL_SIZE : TAIL_SIZE_MANY;
    size_t at = large ? number * LARGE : TAILS_LARGE * LARGE + (number - TAILS_LARGE) * SMALL;
    if (!memory || at + size + MS_BEGINNING > TAILS_ALL || mprotect(memory + at, size + MS_BEGINNING, PROT_READ | PROT_WRITE)) {
        return false;
    }
    atomic_store(&counters->tail_at, at);
    atomic_store(&counters->tail_size, (uint32_t)size);
    return true;
}

void tail_start(struct framing *in, struct ms_counters *counters)
{
    if (!atomic_load_explicit(&counters->tail_size, memory_order_relaxed) && !find_place(counters)) {
        atomic_store(&counters->keep, MS_KEEP_NEVER);
        return;
    }
    atomic_store(&counters->tail_from, in->content);
    atomic_store(&counters->tail_end, in->content);
    in->tail_octets = atomic_load(&tails) + atomic_load(&counters->tail_at);
    in->tail = counters;
}

void tail_stop(struct framing *in, struct ms_counters *counters)
{
    in->tail = NULL;
    atomic_store(&counters->tail_from, UINT64_MAX);
}
