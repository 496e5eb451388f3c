/*
 * fetch: downloads one URL in one of many ways of waiting and reading, and says whether the socket stayed what it was.
 *
 *     fetch MODE FILE HOST PORT PATH
 *
 * Exit status: 0 the announced content has arrived, 1 it has not, 2 wrong usage. If standard input is not
 * /dev/null, it is read to its end before the program ends, with the connection still open; with "pause" the
 * client stops after half of the content until a line comes.
 */
#define _GNU_SOURCE
#include "http.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { BUFFER = 65536 };

static struct response response;
static int fd = -1, out = -1, epoll_fd = -1;
static char buffer[BUFFER];
static sem_t ready, handled;
static volatile int over;

static void keep(const char *data, size_t n)
{
    ssize_t content = take(&response, data, n);
    if (content < 0) {
        fprintf(stderr, "malformed response\n");
        exit(1);
    }
    if (content && write(out, data + n - (size_t)content, (size_t)content) != content)
        die("write");
}

static int finished(void) { return response.complete_head && response.left == 0; }

static void early(ssize_t n)
{
    if (n < 0)
        die("read");
    fprintf(stderr, "the connection ended early\n");
    exit(1);
}

/* One read by the call that the mode names; 0 when there is nothing yet. */
static size_t read_some(size_t most)
{
    ssize_t n = read(fd, buffer, most);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        early(n);
    keep(buffer, (size_t)n);
    return (size_t)n;
}

static void *blocked_reader(void *unused)
{
    (void)unused;
    while (!finished())
        read_some(BUFFER);
    return NULL;
}

/* A piece of the content is read by a system call of the program's own, where no library sees it. */
static void raw_reader(void)
{
    while (!response.complete_head || response.left == response.length)
        read_some(BUFFER);
    ssize_t n = syscall(SYS_readv, fd, &(struct iovec){ buffer, 1000 }, 1);
    if (n <= 0)
        early(n);
    keep(buffer, (size_t)n);
    blocked_reader(NULL);
}

static void *read_vector(void *unused)
{
    (void)unused;
    static char second[999];
    while (!finished()) {
        struct iovec v[2] = { { buffer, 777 }, { second, sizeof second } };
        ssize_t n = readv(fd, v, 2);
        if (n <= 0)
            early(n);
        keep(buffer, n < 777 ? (size_t)n : 777);
        if (n > 777)
            keep(second, (size_t)n - 777);
    }
    return NULL;
}

/* The head and the content alike: no octet passes a buffer of the call's. */
static void *splice_all(void *unused)
{
    (void)unused;
    int ends[2];
    if (pipe(ends))
        die("pipe");
    while (!finished()) {
        ssize_t n = splice(fd, NULL, ends[1], NULL, 30000, 0);
        if (n <= 0)
            early(n);
        for (ssize_t m; n > 0; n -= m) {
            m = read(ends[0], buffer, (size_t)n < BUFFER ? (size_t)n : BUFFER);
            if (m <= 0)
                die("read");
            keep(buffer, (size_t)m);
        }
    }
    return NULL;
}

static void *receive_all(void *unused)
{
    (void)unused;
    while (!finished()) {
        size_t want = !response.complete_head ? 1 : response.left < 30000 ? (size_t)response.left : 30000;
        ssize_t n = recv(fd, buffer, want, MSG_WAITALL);
        if (n <= 0)
            early(n);
        keep(buffer, (size_t)n);
    }
    return NULL;
}

static void *peek_first(void *unused)
{
    (void)unused;
    while (!finished()) {
        ssize_t n = recv(fd, buffer, 5000, MSG_PEEK);
        if (n <= 0)
            early(n);
        static char again[5000];
        struct iovec v = { again, (size_t)n };
        struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1 };
        ssize_t m = recvmsg(fd, &message, 0);
        if (m != n || memcmp(again, buffer, (size_t)n)) {
            fprintf(stderr, "%zd octets read where %zd were seen, or others\n", m, n);
            exit(1);
        }
        keep(again, (size_t)n);
    }
    return NULL;
}

static void *by_stdio(void *unused)
{
    (void)unused;
    FILE *f = fdopen(fd, "r+");
    for (int c; !finished() && (c = getc(f)) != EOF;) {
        char octet = (char)c;
        keep(&octet, 1);
    }
    return NULL;
}

static void *by_timeout(void *unused)
{
    (void)unused;
    while (!finished())
        read_some(4000); /* SO_RCVTIMEO makes it EAGAIN now and then */
    return NULL;
}

static void *wait_poll(void *unused)
{
    (void)unused;
    while (!over) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, -1) < 0)
            die("poll");
        sem_post(&ready);
        sem_wait(&handled);
    }
    return NULL;
}

static void *wait_select(void *unused)
{
    (void)unused;
    while (!over) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        if (select(fd + 1, &set, NULL, NULL, NULL) < 0)
            die("select");
        sem_post(&ready);
        sem_wait(&handled);
    }
    return NULL;
}

static void *wait_epoll(void *unused)
{
    (void)unused;
    while (!over) {
        struct epoll_event e;
        int n = epoll_wait(epoll_fd, &e, 1, -1);
        if (n < 0)
            die("epoll_wait");
        if (n == 1 && e.data.u64 != 0x1234567890abcdefULL) {
            fprintf(stderr, "epoll_wait gives other data\n");
            exit(1);
        }
        sem_post(&ready);
        sem_wait(&handled);
    }
    return NULL;
}

/* Another thread waits, this one reads. */
static void wait_elsewhere(void *(*waiter)(void *), uint32_t events)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (waiter == wait_epoll) {
        struct epoll_event e = { .events = EPOLLIN | events, .data.u64 = 0x1234567890abcdefULL };
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e))
            die("epoll_ctl");
    }
    sem_init(&ready, 0, 0);
    sem_init(&handled, 0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, waiter, NULL);
    while (!finished()) {
        sem_wait(&ready);
        if (events & EPOLLET) {
            while (!finished() && read_some(3000))
                ;
        } else {
            read_some(10000);
        }
        over = finished();
        if (events & EPOLLONESHOT && !over) {
            struct epoll_event e = { .events = EPOLLIN | events, .data.u64 = 0x1234567890abcdefULL };
            if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e))
                die("epoll_ctl");
        }
        sem_post(&handled);
    }
    pthread_join(thread, NULL);
}

static void in_thread(void *(*reader)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, reader, NULL);
    pthread_join(thread, NULL);
}

static _Atomic pid_t early_reader_id;

static void *early_reader(void *unused)
{
    early_reader_id = gettid();
    return blocked_reader(unused);
}

static int sleeps(pid_t thread)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *f = thread ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (f)
        fclose(f);
    return state == 'S';
}

/* A thread waits for octets before another asks for any, as in every relay. */
static void read_first(const char *host, const char *path)
{
    pthread_t thread;
    pthread_create(&thread, NULL, early_reader, NULL);
    while (!sleeps(early_reader_id))
        sched_yield();
    ask(fd, host, path);
    pthread_join(thread, NULL);
}

/* What must be the same at the end as before the request. */
struct attributes {
    struct sockaddr_storage peer;
    struct timeval timeout;
    int flags, descriptor_flags, no_delay, keep_alive, idle, interval, priority, low_water, owner;
    int domain, type, protocol;
};

static int option(int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    getsockopt(fd, level, name, &value, &length);
    return value;
}

static void look(struct attributes *a)
{
    memset(a, 0, sizeof *a);
    socklen_t length = sizeof a->peer;
    if (getpeername(fd, (struct sockaddr *)&a->peer, &length))
        die("getpeername");
    length = sizeof a->timeout;
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &a->timeout, &length);
    a->flags = fcntl(fd, F_GETFL) & ~O_NONBLOCK;
    a->descriptor_flags = fcntl(fd, F_GETFD);
    a->owner = fcntl(fd, F_GETOWN);
    a->no_delay = option(IPPROTO_TCP, TCP_NODELAY);
    a->keep_alive = option(SOL_SOCKET, SO_KEEPALIVE);
    a->idle = option(IPPROTO_TCP, TCP_KEEPIDLE);
    a->interval = option(IPPROTO_TCP, TCP_KEEPINTVL);
    a->priority = option(SOL_SOCKET, SO_PRIORITY);
    a->low_water = option(SOL_SOCKET, SO_RCVLOWAT);
    a->domain = option(SOL_SOCKET, SO_DOMAIN);
    a->type = option(SOL_SOCKET, SO_TYPE);
    a->protocol = option(SOL_SOCKET, SO_PROTOCOL);
}

static void set(int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value))
        die("setsockopt");
}

static void dress(void)
{
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 77);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 7);
    set(SOL_SOCKET, SO_PRIORITY, 3);
    fcntl(fd, F_SETOWN, getpid());
}

static void pause_at_half(void)
{
    while (!response.complete_head || response.left > response.length / 2)
        read_some(4096);
    puts("half");
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: fetch MODE FILE HOST PORT PATH\n");
        return 2;
    }
    const char *mode = argv[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct addrinfo *list = look_up(argv[3], argv[4]);
    fd = dial(list, !strncmp(mode, "mptcp", 5) ? IPPROTO_MPTCP : 0);
    freeaddrinfo(list);
    if (fd < 0)
        die("connect");
    dress();
    if (!strcmp(mode, "timeout")) {
        struct timeval t = { .tv_usec = 3000 };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    }
    struct attributes before, after;
    look(&before);
    pid_t child = 0;
    if (!strcmp(mode, "child")) {
        child = fork();
        if (!child) {
            pause();
            _exit(0);
        }
    }
    if (!strcmp(mode, "early"))
        read_first(argv[3], argv[5]);
    else
        ask(fd, argv[3], argv[5]);
    if (!strcmp(mode, "dup") && dup(fd) < 0)
        die("dup");

    if (!strcmp(mode, "early"))
        ;
    else if (!strcmp(mode, "blocked") || !strcmp(mode, "mptcp") || !strcmp(mode, "child") || !strcmp(mode, "dup"))
        blocked_reader(NULL);
    else if (!strcmp(mode, "raw"))
        raw_reader();
    else if (!strcmp(mode, "thread"))
        in_thread(blocked_reader);
    else if (!strcmp(mode, "vector"))
        in_thread(read_vector);
    else if (!strcmp(mode, "splice"))
        in_thread(splice_all);
    else if (!strcmp(mode, "waitall"))
        in_thread(receive_all);
    else if (!strcmp(mode, "peek"))
        in_thread(peek_first);
    else if (!strcmp(mode, "stdio"))
        by_stdio(NULL);
    else if (!strcmp(mode, "timeout"))
        by_timeout(NULL);
    else if (!strcmp(mode, "poll"))
        wait_elsewhere(wait_poll, 0);
    else if (!strcmp(mode, "select"))
        wait_elsewhere(wait_select, 0);
    else if (!strcmp(mode, "epoll-level"))
        wait_elsewhere(wait_epoll, 0);
    else if (!strcmp(mode, "epoll-edge"))
        wait_elsewhere(wait_epoll, EPOLLET);
    else if (!strcmp(mode, "epoll-oneshot"))
        wait_elsewhere(wait_epoll, EPOLLONESHOT);
    else if (!strcmp(mode, "epoll-oneshot-edge"))
        wait_elsewhere(wait_epoll, EPOLLONESHOT | EPOLLET);
    else if (!strcmp(mode, "pause") || !strcmp(mode, "mptcp-pause")) {
        pause_at_half();
        blocked_reader(NULL);
    } else {
        fprintf(stderr, "fetch: no mode %s\n", mode);
        return 2;
    }

    look(&after);
    printf("status %d, %lld octets, %s\n", response.status, (long long)response.length,
           memcmp(&before, &after, sizeof before) ? "the socket has changed" : "the socket is as it was");
    if (child) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    while (read(0, buffer, sizeof buffer) > 0)
        ;
    return !finished();
}
