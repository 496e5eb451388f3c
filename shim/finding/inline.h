/*
 * inline.h: OpenSSL that is linked into the program itself, and whose functions the program exports, as node does.
 *
 * The program's own calls of them do not pass the dynamic linker, so that each function gets a jump to its hook over its first
 * instructions, before the program's main(); these go on elsewhere, followed by a jump to the rest. That is a way of finding the
 * functions; the library is one copy of OpenSSL like any other. What its first instructions do must be known in full for every one of
 * the functions, or none is touched. On processors other than x86-64 none is.
 */
#ifndef MIDSTREAM_INLINE_H
#define MIDSTREAM_INLINE_H

#include <stdbool.h>

/* The program has some, and they have been led to the hooks. */
bool inline_is_there(void);

/* The functions of this object, which is the program itself, have been led to the hooks. */
bool inline_has(const void *base);

/* The way to a function past its hook: the function itself, unless it has been led there. NULL is allowed. */
void *inline_past(void *function);

#endif
