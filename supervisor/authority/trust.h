/*
 * trust.h: how the programs of this run come to trust its authority: by their environment, and files that it names, and by nothing
 * else. What a variable named before holds as well; where there was none, the system's certificates do.
 */
#ifndef MIDSTREAM_SUPERVISOR_TRUST_H
#define MIDSTREAM_SUPERVISOR_TRUST_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the folder of those files, which only this user may enter. NULL, or why it cannot. */
const char *trust_open(void);

/* Writes them. NULL, or why that cannot be. */
const char *trust_write(void);

/* What is to be set, each as "NAME=value" and a NUL. The octets; 0 where they do not fit. */
size_t trust_variables(char *text, size_t size);

/* Removes folder and files. */
void trust_close(void);

#endif
