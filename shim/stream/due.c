/* due.c: see due.h. */
#include "due.h"

#include "process/agent.h"

static _Atomic(struct stream *) list;

void due_add(struct stream *s)
{
    if (!atomic_exchange(&s->due, 1)) {
        struct stream *first = atomic_load(&list);
        do {
            atomic_store(&s->due_next, first);
        } while (!atomic_compare_exchange_weak(&list, &first, s));
    }
    agent_wake();
}

struct stream *due_take(void)
{
    return atomic_exchange(&list, NULL);
}

/* From then on it may be added again. */
struct stream *due_next(struct stream *s)
{
    struct stream *next = atomic_load(&s->due_next);
    atomic_store(&s->due, 0);
    return next;
}

bool due_is_empty(void)
{
    return !atomic_load(&list);
}

void due_forget(void)
{
    atomic_store(&list, NULL);
}
