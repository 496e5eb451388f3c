/*
 * fork.h: a child never enters its parent's core. pthread_atfork catches fork(); a page that the kernel wipes in
 * every child with a memory of its own catches raw clone; children that share the memory (vfork) are told
 * apart by their process id, wherever state would be changed.
 */
#ifndef MIDSTREAM_FORK_H
#define MIDSTREAM_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern _Atomic(uint32_t *) fork_page;

/* Arms both; called before the first record is made. */
void fork_watch(void);

/* In a child that was made without pthread_atfork's knowledge: everything of the parent's is forgotten. */
void fork_forget(void);

/* False in a child that has not begun anew; it has after this call. */
static inline bool fork_is_mine(void)
{
    uint32_t *page = atomic_load_explicit(&fork_page, memory_order_acquire);
    if (page && !*(volatile uint32_t *)page) {
        fork_forget();
        return false;
    }
    return true;
}

/* Not a vfork child: records may be changed. One system call. */
bool fork_same_process(void);

/* Children made by fork() so far. */
uint32_t fork_children(void);

#endif
