/* reach.c: see reach.h. */
#include "reach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 /* none: all passes */
#endif

/* Calls of the x32 interface of x86-64 have this bit, and other structures. */
#define OTHER_INTERFACE 0x40000000

/* The number under which the supervisor finds the channel. */
#define CHANNEL 3

#define FIELD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
/* The lower half of an argument; both processors begin with it. */
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))
#define UPPER(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n) + 4)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define IF(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0)

#define PASS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define TELL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)

/* Calls of other processors' programs pass. */
static const struct sock_filter beginning[] = {
    FIELD(arch),
    IF(ARCHITECTURE, 1),
    PASS,
};

/* Of sendmsg(): nothing is to be sent (the kernel's MSG_PROBE). Sockets of AF_UNIX do not look at it. */
#define PROBE 0x10

/* Where QUIC is refused, it is told of what is sent to an address, which cannot be seen of a message. The listener itself is handed over by one. */
static const struct sock_filter sending[] = {
    FIELD(nr),
    IF(SYS_sendmmsg, 9),
    UNLESS(SYS_sendmsg, 2),
    ARGUMENT(2),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROBE, 5, 6),
    UNLESS(SYS_sendto, 6),
    ARGUMENT(4),
    UNLESS(0, 3),
    UPPER(4),
    UNLESS(0, 1),
    PASS,
    TELL,
};

/*
 * What is told of: connect(), what a program asks of a socket that is carried, and what it sets on one that is for the network. All
 * else passes without delay.
 */
static const struct sock_filter instructions[] = {
    FIELD(nr),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_INTERFACE, 5, 0),
    IF(SYS_connect, 3),
    IF(SYS_getpeername, 2),
    IF(SYS_getsockname, 1),
    BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0),
    TELL,
    PASS,
    UNLESS(SYS_getsockopt, 6),
    ARGUMENT(1),
    UNLESS(SOL_SOCKET, 3),
    ARGUMENT(2),
    UNLESS(SO_ERROR, 1),
    TELL,
    PASS,
    UNLESS(SYS_setsockopt, 11),
    ARGUMENT(1),
    IF(SOL_SOCKET, 6),
    UNLESS(IPPROTO_TCP, 8),
    ARGUMENT(2),
    IF(TCP_KEEPIDLE, 5),
    IF(TCP_KEEPINTVL, 4),
    IF(TCP_KEEPCNT, 3),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_USER_TIMEOUT, 2, 3),
    ARGUMENT(2),
    UNLESS(SO_KEEPALIVE, 1),
    TELL,
    PASS,
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reach *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->why, sizeof r->why, format, arguments);
    va_end(arguments);
    return false;
}

/* In the process that becomes the supervisor. Nothing of the program's is kept: whoever reads the other end of its output waits for its end. */
__attribute__((noreturn)) static void become_supervisor(const struct reach *r, const char *file, int channel)
{
    char number[16];
    int high = fcntl(channel, F_DUPFD, 64), null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, 64);
    snprintf(number, sizeof number, "%d", CHANNEL);
    bool is_ready = high >= 0 && null >= 0 && !setenv("LD_PRELOAD", r->library, 1);
    for (int fd = 0; is_ready && fd <= CHANNEL; fd++) {
        close(fd);
        is_ready = fcntl(fd == CHANNEL ? high : null, F_DUPFD, fd) == fd;
    }
    if (!is_ready) {
        _exit(1);
    }
    if (syscall(SYS_close_range, CHANNEL + 1, ~0U, 0)) {
        for (int fd = CHANNEL + 1; fd < 65536; fd++) {
            close(fd);
        }
    }
    execl(file, file, number, r->ports, r->authority ? "ca" : "hook", r->refuses_quic ? "refuse" : "allow", (char *)NULL);
    _exit(1);
}

/* Starts it as nobody's child: the program neither waits for it, nor is told of its end. The channel to it, or -1. */
static int start(const struct reach *r, const char *file)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
        return -1;
    }
    pid_t child = fork();
    if (!child) {
        setsid();
        if (fork()) {
            _exit(0);
        }
        become_supervisor(r, file, ends[1]);
    }
    close(ends[1]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return ends[0];
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void add(struct sock_filter *all, unsigned short *count, const struct sock_filter *more, size_t number)
{
    memcpy(all + *count, more, number * sizeof *more);
    *count += (unsigned short)number;
}

/* The descriptor by which the kernel tells of calls; -1 with errno. */
static int set_filter(struct reach *r)
{
    struct sock_filter all[COUNT(beginning) + COUNT(sending) + COUNT(instructions)];
    unsigned short count = 0;
    add(all, &count, beginning, COUNT(beginning));
    add(all, &count, sending, r->refuses_quic ? COUNT(sending) : 0);
    add(all, &count, instructions, COUNT(instructions));
    struct sock_fprog program = { count, all };
    unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (listener < 0 && errno == EACCES && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        r->confined = true;
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    }
    return listener;
}

static bool hand_over(int channel, int listener)
{
    char octet = 0;
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = { { 0 } };
    struct iovec vector = { &octet, 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof listener), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
    return sendmsg(channel, &message, MSG_NOSIGNAL | PROBE) == 1;
}

/* The supervisor has made its authority, or not: the environment by which the program trusts it. */
static void trust_authority(struct reach *r, int channel)
{
    static char text[64 << 10];
    ssize_t n;
    while ((n = recv(channel, text, sizeof text - 1, 0)) < 0 && errno == EINTR) {
    }
    text[n > 0 ? n : 0] = 0;
    if (n <= 0 || *text == '!') {
        snprintf(r->without, sizeof r->without, "%.150s", n > 0 ? text + 1 : "midstream-supervisor has ended");
        return;
    }
    for (char *at = text; at < text + n; at += strlen(at) + 1) {
        char *value = strchr(at, '=');
        if (value) {
            *value++ = 0;
            setenv(at, value, 1);
            at = value;
        }
    }
    setenv("MIDSTREAM_TLS_REACH", "ca", 1); /* for the preload (shim/stream/carried.h) */
}

bool reach_begin(struct reach *r)
{
    char file[PATH_MAX];
    pid_t supervisor = 0;
    const char *slash = strrchr(r->library, '/');
    if (!ARCHITECTURE) {
        return refuse(r, "not on this processor");
    }
    if (!slash || snprintf(file, sizeof file, "%.*s/midstream-supervisor", (int)(slash - r->library), r->library) >= PATH_MAX
        || access(file, X_OK)) {
        return refuse(r, "there is no midstream-supervisor beside libmidstream.so");
    }
    int channel = start(r, file);
    if (channel < 0 || recv(channel, &supervisor, sizeof supervisor, 0) != sizeof supervisor) {
        close(channel);
        return refuse(r, "midstream-supervisor could not be started");
    }
    prctl(PR_SET_PTRACER, (unsigned long)supervisor, 0, 0, 0); /* ptrace(2), "ptrace_scope": it is no ancestor */
    int listener = set_filter(r);
    int error = errno;
    bool done = listener >= 0 && hand_over(channel, listener);
    if (done && r->authority) {
        trust_authority(r, channel);
    }
    close(channel);
    if (done) {
        close(listener);
        return true;
    }
    if (listener >= 0) {
        dprintf(2, "midstream: midstream-supervisor has ended as soon as it was started\n");
        _exit(125); /* the filter cannot be taken back, and nobody would answer */
    }
    if (error == EBUSY) {
        return refuse(r, "it is under another supervisor already (seccomp)");
    }
    return refuse(r, "the kernel takes no filter with a supervisor: %s", strerror(error));
}
