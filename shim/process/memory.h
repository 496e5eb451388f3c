/*
 * memory.h: whether the program's memory can be looked at.
 *
 * The kernel answers EFAULT for a pointer that leads nowhere; a hook that looks there before the kernel has would crash the
 * program. So it asks first, and leaves the call to the kernel, as it is, where the answer is no.
 */
#ifndef MIDSTREAM_MEMORY_H
#define MIDSTREAM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_PAGE 4096 /* the smallest there is */

/* Asks the kernel, once for each page. Keeps errno. */
bool memory_ask(const void *at, size_t length);

/* Whether so many octets can be read. In a page that the caller's own frame is in, they can. */
static inline __attribute__((always_inline)) bool memory_is_readable(const void *at, size_t length)
{
    uintptr_t first = (uintptr_t)at, frame = (uintptr_t)__builtin_frame_address(0), last = first + (length ? length - 1 : 0);
    return !length || ((first ^ frame) < MEMORY_PAGE && (last ^ frame) < MEMORY_PAGE) || memory_ask(at, length);
}

#endif
