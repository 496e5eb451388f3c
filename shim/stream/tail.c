/* tail.c: see tail.h. A slot keeps its memory for the next stream that uses it. */
#include "tail.h"

#include <sys/mman.h>

void tail_start(struct framing *in, struct ms_counters *counters)
{
    static _Atomic uint32_t tails;
    if (!atomic_load_explicit(&counters->tail, memory_order_relaxed)) {
        size_t size = atomic_fetch_add(&tails, 1) < TAILS_LARGE ? TAIL_SIZE : TAIL_SIZE_MANY;
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            atomic_store(&counters->keep, MS_KEEP_NEVER);
            return;
        }
        atomic_store(&counters->tail_size, (uint32_t)size);
        atomic_store(&counters->tail, memory);
    }
    atomic_store(&counters->tail_from, in->content);
    atomic_store(&counters->tail_end, in->content);
    in->tail = counters;
}

void tail_stop(struct framing *in, struct ms_counters *counters)
{
    in->tail = NULL;
    atomic_store(&counters->tail_from, UINT64_MAX);
}
