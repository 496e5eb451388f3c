/*
 * confine.c: calls with which a program changes what it may do, or what it sees. They are for the calling thread alone, or need a
 * process without others: threads of Midstream's would keep what the program gives up, see what it has left, or have the call fail.
 * So these are gone before; the program's next download finds a core that has been started where the program is.
 */
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "process/calls.h"
#include "confine.h"
#include "process/trial.h"
#include "process/withdraw.h"

void confine_table(void)
{
    withdraw_for_good(MS_WHY_OWN_TABLE);
}

/* What an unshare() or a setns() is about. */
static void part(int flags)
{
    if (flags & CLONE_FILES) {
        withdraw_for_good(MS_WHY_OWN_TABLE);
    } else if (flags) {
        withdraw();
    }
}

static void filter(unsigned long mode, const void *program)
{
    if (mode == SECCOMP_MODE_STRICT || (mode == SECCOMP_MODE_FILTER && !trial_of(program))) {
        withdraw_silently();
    }
}

void confine_syscall(long number, const long *a)
{
    switch (number) {
    case SYS_prctl:
        if (a[0] == PR_SET_SECCOMP) {
            filter((unsigned long)a[1], (const void *)a[2]);
        }
        break;
    case SYS_seccomp:
        if (a[0] == SECCOMP_SET_MODE_STRICT || a[0] == SECCOMP_SET_MODE_FILTER) {
            filter(a[0] == SECCOMP_SET_MODE_STRICT ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER, (const void *)a[2]);
        }
        break;
    case SYS_unshare:
        part((int)a[0]);
        break;
    case SYS_clone:
        if (a[0] & CLONE_THREAD && !(a[0] & CLONE_FILES)) {
            confine_table();
        }
        break;
    case SYS_setns:
    case SYS_capset:
#ifdef SYS_landlock_restrict_self
    case SYS_landlock_restrict_self:
#endif
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setgroups:
        withdraw();
        break;
    }
}

EXPORT int prctl(int option, ...)
{
    va_list arguments;
    long a[5] = { option };
    va_start(arguments, option);
    for (int i = 1; i < 5; i++) {
        a[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    confine_syscall(SYS_prctl, a);
    return REAL(prctl)(option, a[1], a[2], a[3], a[4]);
}

EXPORT int unshare(int flags)
{
    part(flags);
    return REAL(unshare)(flags);
}

EXPORT int setns(int fd, int type)
{
    withdraw();
    return REAL(setns)(fd, type);
}

EXPORT int capset(void *header, const void *data)
{
    withdraw();
    return REAL(capset)(header, data);
}
