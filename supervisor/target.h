/*
 * target.h: the program whose call it is. What has been found out of one is kept as long as the thread is the same, and has not
 * become another program by execve(2).
 */
#ifndef MIDSTREAM_SUPERVISOR_TARGET_H
#define MIDSTREAM_SUPERVISOR_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct notice;

struct target {
    pid_t thread, process;
    int folder;       /* /proc/THREAD: it is that thread's alone, even where the number comes again */
    int handle;       /* pidfd_open(2) of the process; -1: not to be had */
    bool serves_itself; /* the library is preloaded, and sees its connections */
    uint64_t program[4]; /* what tells one execve(2) from the next */
    uint64_t used;
};

/* The program of a call; NULL where nothing may be learned of it: it is another user's, or not to be traced. */
struct target *target_of(const struct notice *n);

/*
 * One more descriptor, close-on-exec, of what the program has on this number; -1. It is given back before the program goes on: as long as
 * it is open, the program's close() does not close, and what it closes stays in its epoll sets.
 */
int target_take(const struct target *t, int fd);
void target_give_back(int fd);

/* The same, of a process of which only the number is known. */
int target_take_of(pid_t process, int fd);

/*
 * The program's memory. False where it is not there, or not to be written to. By the thread's number, which the call is known to be of:
 * that of the process is its first thread's, which may have ended before the others, and has no memory then.
 */
bool target_read(const struct target *t, uint64_t address, void *to, size_t size);
bool target_write(const struct target *t, uint64_t address, const void *from, size_t size);

/* The network namespace that the thread is in, by its inode; 0 unknown. */
uint64_t target_network(const struct target *t);

#endif
