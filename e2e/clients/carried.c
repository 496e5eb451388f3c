/*
 * carried.c: connects in every way that a program may, and says what it sees: natively and carried by the supervisor, that has
 * to be the same. Linked statically.
 *
 *     carried IPV4 IPV6 SILENT UNREACHABLE
 *     carried --outlive IPV4      says "ready" when it has a connection, and goes on when that has ended
 *     carried --storm IPV4 SILENT
 *     carried --late-resets IPV4
 *     carried --give-up ADDRESS...  begins connections, and closes their sockets
 *
 * The two addresses are those of the servers in e2e/supervisor/servers_test.go; SILENT answers nothing, UNREACHABLE cannot be reached.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO = 7001, GREETS, RESETS, SENDS, WHO, ENDS, COUNTS, LATE, CLOSED = 7099 };

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static const char *hosts[4];

static union address at(const char *host, int port)
{
    union address a = { .six = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };
    if (inet_pton(AF_INET6, host, &a.six.sin6_addr) != 1) {
        a.four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, host, &a.four.sin_addr);
    }
    return a;
}

static socklen_t size_of(const union address *a) { return a->any.sa_family == AF_INET ? sizeof a->four : sizeof a->six; }

static const char *name_of(const union address *a)
{
    static char text[4][80];
    static int turn;
    char *to = text[turn++ % 4], host[64];
    if (a->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->four.sin_addr, host, sizeof host);
    } else {
        inet_ntop(AF_INET6, &a->six.sin6_addr, host, sizeof host);
    }
    snprintf(to, 80, "%s %d", host, ntohs(a->four.sin_port));
    return to;
}

static const char *result(long r)
{
    static char text[4][64];
    static int turn;
    char *to = text[turn++ % 4];
    if (r < 0) {
        snprintf(to, 64, "%s", strerrorname_np(errno));
    } else {
        snprintf(to, 64, "%ld", r);
    }
    return to;
}

static const char *events(int revents)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%s%s%s%s", revents & POLLIN ? "IN " : "", revents & POLLOUT ? "OUT " : "", revents & POLLERR ? "ERR " : "",
             revents & POLLHUP ? "HUP " : "", revents & POLLRDHUP ? "RDHUP " : "");
    return text;
}

static const char *error_of(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length)) {
        return result(-1);
    }
    return error ? strerrorname_np(error) : "0";
}

static const char *wait_for(int fd, short wanted, int ms)
{
    struct pollfd p = { .fd = fd, .events = wanted };
    int n = poll(&p, 1, ms);
    return n == 1 ? events(p.revents) : n ? result(n) : "time-out";
}

/* An error shows some instants before the rest of the end does, and the end before that nothing more will come. */
static const char *wait_for_end(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    while (poll(&p, 1, 5000) == 1 && !(p.revents & POLLHUP && p.revents & POLLRDHUP)) {
    }
    return events(p.revents);
}

static int make(const union address *a, int flags) { return socket(a->any.sa_family, SOCK_STREAM | flags, 0); }

/* Writes a text, and reads what comes back to the end. */
static void talk(const char *what, int fd, const char *text)
{
    char got[512] = "";
    size_t length = 0;
    ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    printf("%s: sent %s", what, result(n));
    shutdown(fd, SHUT_WR);
    while (length < sizeof got - 1 && ((n = read(fd, got + length, sizeof got - 1 - length)) > 0 || (n < 0 && errno == EAGAIN))) {
        length += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            wait_for(fd, POLLIN, 5000);
        }
    }
    got[length] = 0;
    printf(", got \"%s\", then %s\n", got, result(n));
}

/* What the socket says of its ends, and what the server sees. */
static void names(const char *what, int fd, const union address *to)
{
    union address own, peer;
    socklen_t own_length = sizeof own, peer_length = sizeof peer;
    memset(&own, 0, sizeof own);
    memset(&peer, 0, sizeof peer);
    int first = getsockname(fd, &own.any, &own_length), second = getpeername(fd, &peer.any, &peer_length);
    char seen[128] = "";
    ssize_t n = 0;
    for (size_t have = 0; (n = read(fd, seen + have, sizeof seen - 1 - have)) > 0 || (n < 0 && errno == EAGAIN);) {
        have += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            wait_for(fd, POLLIN, 5000);
        }
    }
    char *mine = strstr(name_of(&own), ":ffff:") ? strstr((char *)name_of(&own), ":ffff:") + 6 : (char *)name_of(&own);
    printf("%s: getsockname %s of %u is %s what the server sees; getpeername %s of %u, %s\n", what, result(first), own_length,
           strcmp(seen, mine) ? seen : "the same as", result(second), peer_length,
           memcmp(&peer, to, size_of(to)) ? name_of(&peer) : "the one that was asked for");
}

static void connect_waiting(const char *what, const union address *to)
{
    int fd = make(to, 0);
    printf("%s: connect %s\n", what, result(connect(fd, &to->any, size_of(to))));
    printf("%s: error %s, ", what, error_of(fd));
    printf("again %s, %s\n", result(connect(fd, &to->any, size_of(to))), wait_for(fd, POLLOUT, 0));
    names(what, fd, to);
    close(fd);
}

static void connect_polled(const char *what, const union address *to)
{
    int fd = make(to, SOCK_NONBLOCK);
    printf("%s: connect %s\n", what, result(connect(fd, &to->any, size_of(to))));
    printf("%s: poll %s\n", what, wait_for(fd, POLLOUT, 5000));
    printf("%s: error %s, again %s\n", what, error_of(fd), result(connect(fd, &to->any, size_of(to))));
    printf("%s: once more %s\n", what, result(connect(fd, &to->any, size_of(to))));
    names(what, fd, to);
    close(fd);
}

/* In the set before it is connected, as Go does it. */
static void connect_epolled(const char *what, const union address *to, bool before)
{
    int fd = make(to, SOCK_NONBLOCK), set = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = 7 };
    if (before) {
        epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
        printf("%s: before %s\n", what, result(epoll_wait(set, &event, 1, 0)));
    }
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    printf("%s: connect %s\n", what, result(connect(fd, &to->any, size_of(to))));
    if (!before) {
        epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    }
    int n = epoll_wait(set, &event, 1, 5000);
    printf("%s: epoll %s, data %d, out %d\n", what, result(n), (int)event.data.u64, !!(event.events & EPOLLOUT));
    printf("%s: error %s\n", what, error_of(fd));
    names(what, fd, to);
    close(fd);
    printf("%s: after close %s\n", what, result(epoll_wait(set, &event, 1, 0)));
    close(set);
}

static void refused(const char *host)
{
    union address to = at(host, CLOSED);
    char octet;
    int fd = make(&to, 0);
    printf("refused: connect %s, error %s, %s\n", result(connect(fd, &to.any, size_of(&to))), error_of(fd), wait_for(fd, POLLOUT, 0));
    printf("refused: again %s\n", result(connect(fd, &to.any, size_of(&to))));
    to = at(host, ECHO);
    printf("refused: then elsewhere %s\n", result(connect(fd, &to.any, size_of(&to))));
    talk("refused, then elsewhere", fd, "hello");
    close(fd);

    to = at(host, CLOSED);
    for (int how = 0; how < 4; how++) {
        fd = make(&to, SOCK_NONBLOCK);
        printf("refused %d: connect %s, ", how, result(connect(fd, &to.any, size_of(&to))));
        printf("poll %s, ", wait_for_end(fd));
        if (how == 0) {
            printf("error %s, ", error_of(fd));
            printf("error %s, ", error_of(fd));
            printf("again %s\n", result(connect(fd, &to.any, size_of(&to))));
        } else if (how == 1) {
            printf("again %s, ", result(connect(fd, &to.any, size_of(&to))));
            printf("error %s\n", error_of(fd));
        } else if (how == 2) {
            printf("read %s, ", result(read(fd, &octet, 1)));
            printf("read %s\n", result(read(fd, &octet, 1)));
        } else {
            printf("write %s, ", result(send(fd, "x", 1, MSG_NOSIGNAL)));
            printf("write %s\n", result(send(fd, "x", 1, MSG_NOSIGNAL)));
        }
        close(fd);
    }
}

static void silent(const char *host)
{
    union address to = at(host, ECHO), own;
    socklen_t length = sizeof own;
    int fd = make(&to, SOCK_NONBLOCK);
    printf("silent: connect %s, ", result(connect(fd, &to.any, size_of(&to))));
    printf("again %s, ", result(connect(fd, &to.any, size_of(&to))));
    printf("poll %s, error %s, peer %s, ", wait_for(fd, POLLOUT, 50), error_of(fd), result(getpeername(fd, &own.any, &length)));
    length = sizeof own;
    getsockname(fd, &own.any, &length);
    int port = ntohs(own.four.sin_port);
    own.four.sin_port = 0;
    printf("local %s, with a port %d, ", name_of(&own), port != 0);
    union address none = { .any.sa_family = AF_UNSPEC };
    printf("dissolved %s, ", result(connect(fd, &none.any, sizeof none)));
    to = at(hosts[0], ECHO);
    printf("elsewhere %s\n", result(connect(fd, &to.any, size_of(&to))));
    wait_for(fd, POLLOUT, 5000);
    talk("silent, then elsewhere", fd, "x");
    close(fd);

    to = at(host, ECHO);
    fd = make(&to, 0);
    struct timeval limit = { 0, 200000 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    printf("silent: with a time-out %s\n", result(connect(fd, &to.any, size_of(&to))));
    close(fd);
}

static void on_alarm(int signal) { (void)signal; }

static void interrupted(const char *host, int flags)
{
    union address to = at(host, ECHO);
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
    int fd = make(&to, 0);
    sigaction(SIGALRM, &action, NULL);
    struct timeval limit = { 0, 900000 };
    if (flags) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    ualarm(400000, 0); /* a supervisor on a busy machine has heard of the call by then */
    int r = connect(fd, &to.any, size_of(&to));
    printf("interrupted (%d): %s, %s\n", flags, result(r), wait_for(fd, POLLOUT, 20));
    close(fd);
}

static void unreachable(const char *host)
{
    union address to = at(host, ECHO);
    int fd = make(&to, 0);
    printf("unreachable: %s\n", result(connect(fd, &to.any, size_of(&to))));
    close(fd);
    fd = make(&to, SOCK_NONBLOCK);
    printf("unreachable: %s, ", result(connect(fd, &to.any, size_of(&to))));
    wait_for(fd, POLLOUT, 5000);
    printf("error %s, ", error_of(fd));
    printf("error %s\n", error_of(fd));
    close(fd);
}

static int connected(int port)
{
    union address to = at(hosts[0], port);
    int fd = make(&to, 0);
    if (connect(fd, &to.any, size_of(&to))) {
        printf("connect to %d: %s\n", port, result(-1));
    }
    return fd;
}

static void ends(void)
{
    char text[64] = "";
    int fd = connected(GREETS);
    printf("greets: %s", result(read(fd, text, sizeof text)));
    printf(" %.5s\n", text);
    talk("greets", fd, "four");
    close(fd);

    fd = connected(RESETS);
    printf("resets: write %s, ", result(send(fd, "x\n", 2, MSG_NOSIGNAL)));
    printf("%s, read %s, ", wait_for(fd, 0, 5000), result(read(fd, text, 5)));
    printf("then %s, ", result(read(fd, text, 5)));
    printf("then %s, ", result(read(fd, text, 5)));
    printf("write %s\n", result(send(fd, "x\n", 2, MSG_NOSIGNAL)));
    close(fd);

    fd = connected(ENDS);
    printf("ends: read %s, ", result(read(fd, text, 5)));
    printf("%s, ", wait_for(fd, POLLIN | POLLOUT | POLLRDHUP, 1000));
    printf("write %s, ", result(send(fd, "more", 4, MSG_NOSIGNAL)));
    shutdown(fd, SHUT_WR);
    close(fd);
    fd = connected(COUNTS); /* what the server has seen of it */
    talk("ends", fd, "e");
    close(fd);

    fd = connected(ECHO);
    printf("reset by us: write %s, ", result(send(fd, "RESET", 5, MSG_NOSIGNAL)));
    printf("echo %s\n", result(recv(fd, text, 5, MSG_WAITALL)));
    struct linger now = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    fd = connected(COUNTS);
    talk("reset by us", fd, "r");
    close(fd);
}

/* A socket whose connection has been taken back is as new. */
static void taken_back(void)
{
    union address to = at(hosts[0], WHO), none = { .any.sa_family = AF_UNSPEC };
    int fd = connected(ECHO);
    printf("taken back: %s, ", result(connect(fd, &none.any, sizeof none)));
    socklen_t length = sizeof none;
    printf("%s, ", result(getpeername(fd, &none.any, &length)));
    printf("again %s\n", result(connect(fd, &to.any, size_of(&to))));
    names("taken back", fd, &to);
    close(fd);
}

static void *connect_too(void *argument)
{
    union address to = at(hosts[0], ECHO);
    long r = connect((int)(long)argument, &to.any, size_of(&to));
    return (void *)(r ? (long)errno : 0);
}

/* Two threads that connect one socket: none of them hangs. */
static void two_at_once(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t other;
        union address to = at(hosts[0], ECHO);
        void *error;
        int fd = make(&to, 0);
        pthread_create(&other, NULL, connect_too, (void *)(long)fd);
        int mine = connect(fd, &to.any, size_of(&to)) ? errno : 0;
        pthread_join(other, &error);
        if (mine && mine != EISCONN && mine != EALREADY && error && (long)error != EISCONN && (long)error != EALREADY) {
            printf("two at once: %d and %ld\n", mine, (long)error);
        }
        talk("two at once", fd, "x");
        close(fd);
    }
}

static void bulk(void)
{
    static unsigned char piece[100000];
    unsigned long sum = 0, total = 0;
    ssize_t n;
    int fd = connected(SENDS);
    while ((n = read(fd, piece, 1 + (total * 7919) % sizeof piece)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            sum = sum * 31 + piece[i];
        }
        total += (unsigned long)n;
        if (total % 5 == 0) {
            usleep(200);
        }
    }
    printf("bulk: %lu octets, sum %lx, %s\n", total, sum, result(n));
    close(fd);

    /* The echo does not read while it cannot write: both ways fill up, and drain. */
    fd = connected(ECHO);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    unsigned long sent = 0, got = 0, limit = 20 << 20;
    bool same = true;
    while (got < limit) {
        if (sent < limit) {
            for (size_t i = 0; i < sizeof piece; i++) {
                piece[i] = (unsigned char)((sent + i) * 2654435761UL >> 16);
            }
            n = send(fd, piece, sizeof piece < limit - sent ? sizeof piece : limit - sent, MSG_NOSIGNAL);
            sent += n > 0 ? (unsigned long)n : 0;
            if (n > 0) {
                continue;
            }
        }
        wait_for(fd, POLLIN, 5000);
        n = read(fd, piece, sizeof piece);
        if (n <= 0 && errno != EAGAIN) {
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            same = same && piece[i] == (unsigned char)((got + (unsigned long)i) * 2654435761UL >> 16);
        }
        got += n > 0 ? (unsigned long)n : 0;
    }
    printf("echo: sent %lu, got %lu, same %d\n", sent, got, same);
    close(fd);

    fd = connected(SENDS); /* which does not read */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (sent = 0; sent < 256 << 20; sent += n > 0 ? (unsigned long)n : 0) {
        n = send(fd, piece, sizeof piece, MSG_NOSIGNAL);
        if (n < 0 && !strcmp(wait_for(fd, POLLOUT, 200), "time-out")) {
            break;
        }
    }
    printf("blocked: %d\n", sent < 256 << 20);
    close(fd);
}

static void shared(char *self)
{
    char text[16] = "";
    int fd = connected(ECHO), other = dup(fd), status;
    close(fd);
    talk("dup", other, "through a copy");
    close(other);

    fd = connected(ECHO);
    fflush(stdout);
    if (!fork()) {
        send(fd, "child", 5, MSG_NOSIGNAL);
        exit(0);
    }
    wait(&status);
    printf("fork: %s ", result(recv(fd, text, 5, MSG_WAITALL)));
    printf("%.5s\n", text);
    talk("fork", fd, "parent");
    close(fd);

    fd = connected(ECHO);
    fflush(stdout);
    if (!fork()) {
        char number[16];
        snprintf(number, sizeof number, "%d", fd);
        execl(self, self, "--continue", number, (char *)NULL);
        exit(1);
    }
    close(fd);
    wait(&status);
    printf("exec: status %d\n", WEXITSTATUS(status));

    fd = connected(ECHO);
    send(fd, "left", 4, MSG_NOSIGNAL);
    fflush(stdout);
    if (!fork()) {
        kill(getpid(), SIGKILL);
    }
    wait(&status);
    talk("after a killed child", fd, " over");
    close(fd);
}

static void others(void)
{
    union address to = at(hosts[0], ECHO), own;
    socklen_t length = sizeof own;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    printf("datagrams: %s, ", result(connect(fd, &to.any, size_of(&to))));
    printf("peer %s\n", result(getpeername(fd, &own.any, &length)));
    close(fd);
    struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("unix: %s\n", result(connect(fd, (struct sockaddr *)&path, sizeof path)));
    close(fd);
    to = at("127.0.0.1", 9);
    fd = make(&to, 0);
    printf("loopback: %s\n", result(connect(fd, &to.any, size_of(&to))));
    close(fd);
    to = at("0.0.0.0", 0);
    fd = make(&to, 0);
    printf("bound: %s, ", result(bind(fd, &to.any, size_of(&to))));
    to = at(hosts[0], ECHO);
    printf("%s\n", result(connect(fd, &to.any, size_of(&to))));
    talk("bound", fd, "bound");
    close(fd);

    fd = make(&to, 0);
    printf("wrong: %s ", result(connect(fd, NULL, sizeof to)));
    printf("%s ", result(connect(fd, &to.any, 3)));
    printf("%s ", result(connect(fd, &to.any, 100000)));
    printf("%s ", result(connect(-1, &to.any, sizeof to.four)));
    printf("%s ", result(connect(0, &to.any, sizeof to.four)));
    to = at(hosts[1], ECHO);
    printf("%s\n", result(connect(fd, &to.any, size_of(&to))));
    close(fd);

    fd = connected(ECHO);
    length = 5;
    memset(&own, 0, sizeof own);
    printf("names: short %s", result(getpeername(fd, &own.any, &length)));
    printf(" %u %d, ", length, own.four.sin_addr.s_addr != 0);
    length = (socklen_t)-1;
    printf("negative %s, ", result(getpeername(fd, &own.any, &length)));
    length = sizeof own;
    printf("nowhere %s ", result(getsockname(fd, NULL, &length)));
    printf("%s ", result(getsockname(fd, &own.any, NULL)));
    length = 2;
    int error = 0x7777;
    printf("error %s ", result(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length)));
    printf("%u %x\n", length, error);
    int value = 0;
    length = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length);
    struct tcp_info info;
    length = sizeof info;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    printf("socket: domain %d, state %d, flags %x %x\n", value, info.tcpi_state, (unsigned)fcntl(fd, F_GETFL), (unsigned)fcntl(fd, F_GETFD));
    close(fd);
}

#define MANY 200

static void many(void)
{
    static int fds[MANY];
    union address to = at(hosts[0], ECHO);
    int set = epoll_create1(0), left = MANY, wrong = 0;
    for (int i = 0; i < MANY; i++) {
        struct epoll_event event = { .events = EPOLLOUT, .data.u32 = (uint32_t)i };
        fds[i] = make(&to, SOCK_NONBLOCK);
        wrong += connect(fds[i], &to.any, size_of(&to)) != -1 || errno != EINPROGRESS;
        epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event);
    }
    while (left) {
        struct epoll_event event;
        if (epoll_wait(set, &event, 1, 10000) != 1) {
            break;
        }
        int i = (int)event.data.u32, number = -1;
        if (event.events & EPOLLIN) {
            wrong += read(fds[i], &number, sizeof number) != sizeof number || number != i;
            close(fds[i]);
            left--;
        } else {
            wrong += strcmp(error_of(fds[i]), "0") || send(fds[i], &i, sizeof i, MSG_NOSIGNAL) != sizeof i;
            event.events = EPOLLIN;
            epoll_ctl(set, EPOLL_CTL_MOD, fds[i], &event);
        }
    }
    printf("many: left %d, wrong %d\n", left, wrong);
    close(set);
}

static void *in_thread(void *argument)
{
    long wrong = 0;
    for (int i = 0; i < 10; i++) {
        int number = (int)(long)argument * 100 + i, got = -1, fd = connected(ECHO);
        wrong += send(fd, &number, sizeof number, MSG_NOSIGNAL) != sizeof number
            || recv(fd, &got, sizeof got, MSG_WAITALL) != sizeof got || got != number;
        close(fd);
    }
    return (void *)wrong;
}

static void threads(void)
{
    pthread_t all[16];
    long wrong = 0;
    for (long i = 0; i < 16; i++) {
        pthread_create(&all[i], NULL, in_thread, (void *)i);
    }
    for (int i = 0; i < 16; i++) {
        void *one;
        pthread_join(all[i], &one);
        wrong += (long)one;
    }
    printf("threads: wrong %ld\n", wrong);
}

static int outlive(const char *host)
{
    union address to = at(host, WHO);
    char octet;
    hosts[0] = host;
    int fd = connected(ECHO);
    printf("ready\n");
    ssize_t n = read(fd, &octet, 1);
    printf("ended: %s\n", result(n));
    close(fd);
    connect_waiting("afterwards", &to);
    connect_polled("afterwards", &to);
    refused(host);
    return 0;
}

static void *connect_for_ever(void *argument)
{
    union address to = at(argument, ECHO);
    for (;;) {
        int fd = make(&to, 0);
        connect(fd, &to.any, size_of(&to));
        close(fd);
    }
    return NULL;
}

/* Everybody's memory: one thread changes what another one has handed to connect(). */
static union address racing;
static volatile bool over;

static void *change(void *argument)
{
    const union address *two = argument;
    for (unsigned i = 0; !over; i++) {
        memcpy(&racing, &two[i % 2], sizeof racing);
    }
    return NULL;
}

/* A table of descriptors that is full: a socket that there is already can be connected, and nothing else be opened. */
static void full_table(const char *host)
{
    struct rlimit before, few;
    union address to = at(host, ECHO);
    int fd = make(&to, 0), last = fd;
    char octet = 0;
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)fd + 20;
    setrlimit(RLIMIT_NOFILE, &few);
    for (int null; (null = open("/dev/null", O_RDONLY)) >= 0;) {
        last = null;
    }
    printf("full: %s\n", result(connect(fd, &to.any, size_of(&to))));
    bool heard = write(fd, "x", 1) == 1 && read(fd, &octet, 1) == 1 && octet == 'x';
    printf("full: heard %d, another %s\n", heard, result(make(&to, 0)));
    close_range((unsigned)fd, (unsigned)last, 0);
    setrlimit(RLIMIT_NOFILE, &before);
}

static int storm(const char *host, const char *silent_host)
{
    pthread_t thread;
    hosts[0] = host;
    /* Threads and processes that are killed in connect(). */
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (!child) {
            for (int k = 0; k < 4; k++) {
                pthread_create(&thread, NULL, connect_for_ever, (void *)(i % 2 ? host : silent_host));
            }
            pause();
        }
        usleep((useconds_t)(i * 100));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    printf("killed\n");
    union address two[2] = { at(host, ECHO), at("127.0.0.1", CLOSED) };
    int made = 0, refusals = 0, others = 0;
    racing = two[0];
    pthread_create(&thread, NULL, change, two);
    for (int i = 0; i < 200; i++) {
        int fd = make(&two[0], 0);
        int r = connect(fd, &racing.any, sizeof racing.four);
        made += !r;
        refusals += r && errno == ECONNREFUSED;
        others += r && errno != ECONNREFUSED;
        close(fd);
    }
    over = true;
    pthread_join(thread, NULL);
    printf("racing: %d\n", made + refusals == 200 ? 0 : others);
    /* More than there are slots, ports or descriptors for at a time. */
    int wrong = 0;
    for (int i = 0; i < 1500; i++) {
        union address to = at(host, ECHO);
        int fd = make(&to, SOCK_NONBLOCK);
        wrong += fd >= 0 && connect(fd, &to.any, size_of(&to)) != -1;
        if (i % 3) {
            wait_for(fd, POLLOUT, 5000);
        }
        close(fd);
    }
    printf("storm: %d\n", wrong);
    full_table(host);
    many();
    threads();
    return 0;
}

/* Connections that are reset amid a flood: each is to end, whatever of the flood has come. */
static int late_resets(const char *host)
{
    static char flood[1 << 20];
    int reset = 0;
    for (int i = 0; i < 60; i++) {
        union address to = at(host, LATE);
        struct timeval limit = { 10, 0 };
        int fd = make(&to, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        connect(fd, &to.any, size_of(&to));
        ssize_t n;
        while ((n = read(fd, flood, sizeof flood)) > 0) {
        }
        reset += n < 0 && errno == ECONNRESET;
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        close(fd);
    }
    printf("late resets: %d\n", reset);
    return 0;
}

int main(int count, char **arguments)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 3 && !strcmp(arguments[1], "--outlive")) {
        return outlive(arguments[2]);
    }
    if (count > 2 && !strcmp(arguments[1], "--give-up")) {
        for (int i = 2; i < count; i++) {
            union address to = at(arguments[i], ECHO);
            int fd = make(&to, SOCK_NONBLOCK);
            connect(fd, &to.any, size_of(&to));
            close(fd);
        }
        printf("given up\n");
        return pause();
    }
    if (count == 4 && !strcmp(arguments[1], "--storm")) {
        return storm(arguments[2], arguments[3]);
    }
    if (count == 3 && !strcmp(arguments[1], "--late-resets")) {
        return late_resets(arguments[2]);
    }
    if (count == 3 && !strcmp(arguments[1], "--continue")) {
        talk("exec", atoi(arguments[2]), "in another program");
        return 3;
    }
    if (count != 5) {
        return 2;
    }
    memcpy(hosts, arguments + 1, sizeof hosts);
    char mapped[64];
    snprintf(mapped, sizeof mapped, "::ffff:%s", hosts[0]);
    const char *ways[] = { hosts[0], hosts[1], mapped };
    for (int i = 0; i < 3; i++) {
        union address to = at(ways[i], WHO);
        connect_waiting("waiting", &to);
        connect_polled("polled", &to);
        connect_epolled("epoll before", &to, true);
        connect_epolled("epoll after", &to, false);
        refused(ways[i]);
    }
    silent(hosts[2]);
    interrupted(hosts[2], 0);
    interrupted(hosts[2], SA_RESTART);
    unreachable(hosts[3]);
    ends();
    taken_back();
    two_at_once();
    bulk();
    shared(arguments[0]);
    others();
    many();
    threads();
    return 0;
}
