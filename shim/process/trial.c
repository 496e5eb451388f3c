/* trial.c: see trial.h. */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "lines.h"

static uint32_t word;

/*
 * Of the hooks, the agent, the C library's threads and the Go runtime; with arguments that have no effect. Those that Midstream does
 * without where they are refused are in it too: refused is not killed.
 */
static const struct {
    long number, arguments[4];
} calls[] = {
    { SYS_read, { -1 } },
    { SYS_write, { -1 } },
    { SYS_readv, { -1 } },
    { SYS_writev, { -1 } },
    { SYS_close, { -1 } },
    { SYS_fstat, { -1 } },
    { SYS_newfstatat, { -1, (long)"", (long)&word, AT_EMPTY_PATH } },
    { SYS_lseek, { -1 } },
#ifdef SYS_poll
    { SYS_poll, { 0 } },
#endif
    { SYS_ppoll, { 0, 0, (long)&(struct timespec){ 0, 0 } } },
    { SYS_mmap, { 0, 0 } },
    { SYS_mprotect, { 1, 1 } },
    { SYS_munmap, { 1, 1 } },
    { SYS_madvise, { 1, 1 } },
    { SYS_brk, { 0 } },
    { SYS_rt_sigaction, { 0 } },
    { SYS_rt_sigprocmask, { SIG_BLOCK, 0, 0, 8 } },
    { SYS_sigaltstack, { 0, 0 } },
    { SYS_ioctl, { -1, FIONREAD } },
    { SYS_sched_yield, { 0 } },
    { SYS_nanosleep, { 0 } },
    { SYS_clock_nanosleep, { 0 } },
    { SYS_clock_gettime, { -1 } },
    { SYS_getpid, { 0 } },
    { SYS_gettid, { 0 } },
    { SYS_getuid, { 0 } },
    { SYS_geteuid, { 0 } },
    { SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC } },
    { SYS_socket, { AF_INET6, SOCK_STREAM | SOCK_CLOEXEC } },
    { SYS_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC } },
    { SYS_socket, { AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC } },
    { SYS_socketpair, { AF_UNIX, -1 } },
    { SYS_connect, { -1 } },
    { SYS_bind, { -1 } },
    { SYS_listen, { -1 } },
    { SYS_accept4, { -1 } },
    { SYS_sendto, { -1 } },
    { SYS_recvfrom, { -1 } },
    { SYS_sendmsg, { -1 } },
    { SYS_recvmsg, { -1 } },
    { SYS_shutdown, { -1 } },
    { SYS_getsockname, { -1 } },
    { SYS_getpeername, { -1 } },
    { SYS_getsockopt, { -1 } },
    { SYS_setsockopt, { -1 } },
    { SYS_setsockopt, { -1, SOL_SOCKET, SO_ATTACH_FILTER } },
    { SYS_setsockopt, { -1, SOL_SOCKET, SO_DETACH_FILTER } },
    { SYS_fcntl, { -1, F_DUPFD_CLOEXEC } },
    { SYS_dup3, { -1, -1 } },
    { SYS_epoll_create1, { EPOLL_CLOEXEC } },
    { SYS_epoll_ctl, { -1 } },
    { SYS_epoll_pwait, { -1 } },
    { SYS_inotify_init1, { -1 } },
    { SYS_inotify_add_watch, { -1 } },
    { SYS_inotify_rm_watch, { -1 } },
    { SYS_splice, { -1, 0, -1 } },
    { SYS_eventfd2, { 0, 0 } },
    { SYS_pipe2, { 0 } },
    { SYS_openat, { -1, (long)"" } },
    { SYS_getdents64, { -1 } },
    { SYS_readlinkat, { -1, (long)"" } },
    { SYS_unlinkat, { -1, (long)"" } },
    { SYS_mkdirat, { -1, (long)"" } },
    { SYS_fchmodat, { -1, (long)"" } },
#ifdef SYS_unlink
    { SYS_unlink, { (long)"" } },
#endif
    { SYS_sendfile, { -1, -1 } },
    { SYS_memfd_create, { 0 } },
    { SYS_prctl, { PR_SET_NAME, (long)"midstream" } },
    { SYS_getrandom, { 0 } },
    { SYS_futex, { (long)&word, FUTEX_WAKE_PRIVATE } },
    { SYS_clone, { CLONE_THREAD } },
    { SYS_clone3, { 0 } },
    { SYS_set_robust_list, { 0 } },
    { SYS_rseq, { 0 } },
    { SYS_sched_getaffinity, { 0 } },
    { SYS_prlimit64, { 0, -1 } },
    { SYS_uname, { 0 } },
    { SYS_tgkill, { 0 } },
    { SYS_unshare, { 0 } },
    { SYS_close_range, { 1, 0 } },
};

enum { UNKNOWN, GOOD, BAD };

/* In the child. */
__attribute__((noreturn)) static void make_calls(const void *filter)
{
    /* The kernel would write a core for SIGSYS, or start a program that does. */
    REAL(syscall)(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (filter) {
        REAL(syscall)(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0);
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const long *a = calls[i].arguments;
        REAL(syscall)(calls[i].number, a[0], a[1], a[2], a[3], 0, 0);
    }
    for (;;) {
        REAL(syscall)(SYS_exit, 0);
    }
}

/*
 * A child of which the program hears nothing: no signal when it ends, and no wait of its own is for it. It has a memory of its
 * own: with the program's, a core that is written would end the program as well.
 */
static bool survives(const void *filter)
{
    sigset_t all, before;
    int status = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    long child = REAL(syscall)(SYS_clone, 0L, 0L, 0L, 0L, 0L);
    if (!child) {
        make_calls(filter);
    }
    long waited = -1;
    while (child > 0 && (waited = REAL(syscall)(SYS_wait4, child, &status, __WALL, NULL)) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return child > 0 && waited == child && WIFEXITED(status);
}

bool trial_of(const void *filter)
{
    int saved = errno;
    bool good = survives(filter);
    errno = saved;
    return good;
}

/* "Seccomp:\t2" in the thread's status: proc(5). The loader of every program makes the calls that this takes. */
static bool is_filtered(void)
{
    struct lines l;
    bool filtered = false;
    if (lines_open(&l, "/proc/thread-self/status")) {
        while (!filtered && lines_next(&l)) {
            filtered = !strncmp(l.line, "Seccomp:", 8) && strchr(l.line, '2');
        }
        lines_close(&l);
    }
    return filtered;
}

bool trial_failed(void)
{
    static _Atomic uint32_t known;
    uint32_t state = atomic_load_explicit(&known, memory_order_relaxed);
    if (state == UNKNOWN) {
        int saved = errno;
        state = !is_filtered() || survives(NULL) ? GOOD : BAD;
        atomic_store(&known, state);
        errno = saved;
    }
    return state == BAD;
}
