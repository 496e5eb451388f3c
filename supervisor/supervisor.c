/*
 * supervisor.c: midstream-supervisor, which carries the connections of programs that a preloaded library cannot serve.
 *
 * The launcher starts it beside the program, and gives it the descriptor by which the kernel tells of the program's calls (seccomp_unotify(2)).
 * It is no ancestor of the program, and not in its session: status, signals and terminal are the program's own affair. There are two
 * processes: one works; the other, the keeper, waits for it. Should the first end too early, the keeper lets all calls pass, so that the
 * program makes its new connections natively. Both end with the last process that is under the filter.
 *
 * This process is itself under the preload, which follows, moves and recovers its connections to servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carried.h"
#include "names.h"
#include "notice.h"
#include "options.h"
#include "ports.h"
#include "quic.h"
#include "relay.h"
#include "tls.h"
#include "authority/trust.h"

/* Calls that are answered one after the other, before connections have their turn. */
#define IN_A_ROW 64

static void dispatch(struct notice *n)
{
    switch (n->call.data.nr) {
    case SYS_connect:
        if (!quic_connect(n)) {
            carried_connect(n);
        }
        break;
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        quic_send(n);
        break;
    case SYS_getpeername:
        names_peer(n);
        break;
    case SYS_getsockname:
        names_local(n);
        break;
    case SYS_setsockopt:
        options_set(n);
        break;
    case SYS_getsockopt:
        names_error(n);
        break;
    default:
        notice_pass(n);
    }
}

/* The calls that wait. False: no program is left that could make any. */
static bool answer_calls(uint32_t events)
{
    if (!(events & EPOLLIN)) {
        return !(events & (EPOLLHUP | EPOLLERR));
    }
    struct notice *n = notice_next();
    if (n) {
        dispatch(n);
    }
    return true;
}

/* The sooner of two time-outs of which -1 is none. */
static int sooner(int a, int b) { return a < 0 ? b : b < 0 || a < b ? a : b; }

static void work(int listener)
{
    struct epoll_event events[IN_A_ROW], calls = { .events = EPOLLIN };
    bool alone = false;
    while (!alone || carried_open()) {
        int halves = tls_look(); /* first: what it lets go on may have more to do */
        int count = epoll_wait(carried_set, events, IN_A_ROW, sooner(halves, sooner(relay_look(), carried_look())));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                carried_event(events[i].data.ptr, events[i].events);
            } else if (!answer_calls(events[i].events)) {
                epoll_ctl(carried_set, EPOLL_CTL_DEL, listener, &calls);
                alone = true;
                carried_part();
            }
        }
        carried_tidy();
    }
}

static int supervise(int listener)
{
    struct epoll_event calls = { .events = EPOLLIN };
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    carried_set = epoll_create1(EPOLL_CLOEXEC);
    if (carried_set < 0 || epoll_ctl(carried_set, EPOLL_CTL_ADD, listener, &calls) || !hold_open()) {
        return 1;
    }
    work(listener);
    return 0;
}

static int receive_listener(int channel)
{
    char octet, space[CMSG_SPACE(sizeof(int))];
    struct iovec vector = { &octet, 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    int listener = -1;
    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS) {
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
    }
    return listener;
}

/* What is meant for the program's terminal or its service is not for this one, which ends with the last program. */
static void be_undisturbed(void)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE };
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        signal(signals[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_DFL);
}

static void leave_folder(void)
{
    if (chdir("/")) {
        return; /* then it stays in use */
    }
}

/*
 * In the process that works: makes the authority of this run, whose key no other one has, and tells the launcher what the program is to have in its
 * environment, or "!" and why there is none.
 */
static void tell_authority(int channel)
{
    static char text[64 << 10];
    const char *why = tls_open();
    why = why ? why : trust_write();
    size_t length = why ? 0 : trust_variables(text, sizeof text);
    if (!length) {
        length = (size_t)snprintf(text, sizeof text, "!%s", why ? why : "the environment has too much of certificates");
        tls_close();
    }
    send(channel, text, length, MSG_NOSIGNAL);
    tls_learn_authorities();
}

/* midstream-supervisor CHANNEL PORTS hook|ca allow|refuse, by the launcher alone. */
int main(int count, char **arguments)
{
    pid_t own = getpid();
    int channel = count == 5 ? atoi(arguments[1]) : -1, status = 0;
    if (channel < 0 || !ports_read(arguments[2])) {
        dprintf(2, "midstream-supervisor is started by midstream: see midstream --help\n");
        return 2;
    }
    bool authority = !strcmp(arguments[3], "ca");
    quic_refuse(!strcmp(arguments[4], "refuse"));
    be_undisturbed();
    if (send(channel, &own, sizeof own, MSG_NOSIGNAL) != sizeof own) {
        return 1;
    }
    int listener = receive_listener(channel);
    if (listener < 0) {
        return 0; /* the program is started without */
    }
    const char *without_folder = authority ? trust_open() : NULL;
    pid_t worker = notice_open(listener) ? fork() : -1;
    if (!worker) {
        if (without_folder) {
            dprintf(channel, "!%s", without_folder);
        } else if (authority) {
            tell_authority(channel);
        }
        close(channel);
        leave_folder();
        return supervise(listener);
    }
    close(channel);
    leave_folder();
    while (worker > 0 && waitpid(worker, &status, 0) < 0 && errno == EINTR) {
    }
    if (worker < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
        notice_pass_all();
    }
    if (authority && !without_folder) {
        trust_close();
    }
    return 0;
}
