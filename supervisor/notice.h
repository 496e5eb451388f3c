/*
 * notice.h: calls of programs that the kernel has stopped and tells of: seccomp_unotify(2). Each is answered once: it is let
 * pass, so that the kernel carries it out as if nothing had been, or it returns what is said here.
 *
 * Those that have not been answered lie in memory that the keeper shares: should the supervisor end meanwhile, they pass.
 */
#ifndef MIDSTREAM_SUPERVISOR_NOTICE_H
#define MIDSTREAM_SUPERVISOR_NOTICE_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct notice {
    struct seccomp_notif call;
    bool used;
};

/* Before the keeper and the supervisor part. False: there is no memory. */
bool notice_open(int listener);

/* The next call; NULL where none waits any more. */
struct notice *notice_next(void);

/* Whether the thread still waits in the call: only then is what has been read of it, or is about to be written, its own. */
bool notice_is_valid(const struct notice *n);

/* The kernel carries it out. Whether the thread was still there. */
bool notice_pass(struct notice *n);

/* It returns: 0, or -1 with this errno. Whether the thread was still there. */
bool notice_answer(struct notice *n, int error);

/* By the keeper: all that have not been answered pass, and all that come, until there is no program left. */
void notice_pass_all(void);

/* An argument of the call. */
static inline int notice_int(const struct notice *n, int at) { return (int)n->call.data.args[at]; }
static inline uint64_t notice_address(const struct notice *n, int at) { return n->call.data.args[at]; }

#endif
