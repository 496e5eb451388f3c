/* confine.h: the calls of confine.c, where they are made by number or by other functions. */
#ifndef MIDSTREAM_CONFINE_H
#define MIDSTREAM_CONFINE_H

/* A system call by number is about to be made. */
void confine_syscall(long number, const long *arguments);

/* A thread is about to get a descriptor table that it does not share with the others. */
void confine_table(void);

#endif
