/*
 * What every program in this folder needs: a connection to the server named by
 * argv (address, port, pause), a request, a response read whole, and a way to
 * print what a call returned together with errno.
 *
 * A program may print only what is the same in every run: totals and
 * checksums, never how the octets happened to be cut into segments.
 */
#ifndef OBSERVE_H
#define OBSERVE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HELPER __attribute__((unused)) static

extern char **environ;

HELPER char **arguments;
HELPER struct sockaddr_in server = {.sin_family = AF_INET};
HELPER int pause_ms;   /* how long to wait after a process's first request */
HELPER pid_t paused_in; /* the process that has waited already */

/* say prints straight to descriptor 1, so that fork and _exit neither repeat nor lose it. */
HELPER __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    int saved = errno;
    va_list list;
    va_start(list, format);
    vdprintf(1, format, list);
    va_end(list);
    errno = saved;
}

HELPER void fail(const char *what)
{
    say("FAILED %s: %s\n", what, strerrorname_np(errno));
    _exit(99);
}

/* CALL prints the call, its value and the errno it left (started from 0). */
#define CALL(expression)                                                       \
    ({                                                                         \
        errno = 0;                                                             \
        long value_ = (long)(expression);                                      \
        int error_ = errno;                                                    \
        say("%s = %ld%s%s\n", #expression, value_, error_ ? " " : "",          \
            error_ ? strerrorname_np(error_) : "");                            \
        errno = error_;                                                        \
        value_;                                                                \
    })

HELPER void begin(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: program ADDRESS PORT [PAUSE_MS]");
    arguments = argv;
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    pause_ms = argc > 3 ? atoi(argv[3]) : 0;
}

HELPER void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* Waits until the thread sleeps in the system call. */
HELPER void await_in(pid_t tid, long number)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    for (int i = 0; i < 5000; i++) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = file < 0 ? 0 : read(file, text, sizeof text - 1);
        close(file);
        text[n > 0 ? n : 0] = 0;
        char *end;
        if (strtol(text, &end, 10) == number && *end == ' ')
            return;
        sleep_ms(1);
    }
    fail("await_in");
}

HELPER int dial_with(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    return fd;
}

HELPER int dial(void) { return dial_with(0); }

/* settle gives what the first request set in motion the time to finish, once a process. */
HELPER void settle(void)
{
    if (paused_in != getpid()) {
        paused_in = getpid();
        if (pause_ms > 0)
            sleep_ms(pause_ms);
    }
}

HELPER void send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail("send");
        data += n;
        length -= (size_t)n;
    }
}

/* compose writes a GET for path; at most 400 octets. */
HELPER size_t compose(char *buffer, const char *path)
{
    return (size_t)snprintf(buffer, 400,
                            "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: transparency\r\n\r\n", path,
                            "127.0.0.1", ntohs(server.sin_port));
}

HELPER void ask(int fd, const char *path)
{
    char request[400];
    send_all(fd, request, compose(request, path));
    settle();
}

/* readable waits until fd can be read; false after ten seconds. */
HELPER int readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, 10000)) < 0 && errno == EINTR)
        ;
    return n == 1;
}

/* head reads one response head, octet by octet; returns its Content-Length, -1 without one. */
HELPER long head_status(int fd, int *status)
{
    char text[2048];
    size_t n = 0;
    while (n < sizeof text - 1) {
        ssize_t got = recv(fd, text + n, 1, 0);
        if (got < 0 && (errno == EINTR || (errno == EAGAIN && readable(fd))))
            continue;
        if (got <= 0) {
            text[n] = 0;
            fail("recv of the head");
        }
        n++;
        if (n >= 4 && memcmp(text + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    text[n] = 0;
    if (status)
        *status = atoi(text + 9);
    const char *length = strcasestr(text, "\r\ncontent-length:");
    return length ? atol(length + 17) : -1;
}

HELPER long head(int fd) { return head_status(fd, NULL); }

HELPER uint32_t fold(uint32_t sum, const unsigned char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ data[i]) * 16777619u;
    return sum;
}

/* drain reads exactly length octets and folds them into sum (FNV-1a). */
HELPER uint32_t drain(int fd, long length, uint32_t sum)
{
    unsigned char buffer[4096];
    while (length > 0) {
        ssize_t n = recv(fd, buffer, length < (long)sizeof buffer ? (size_t)length : sizeof buffer, 0);
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && readable(fd))))
            continue;
        if (n <= 0)
            fail(n ? "recv" : "recv: early end");
        sum = fold(sum, buffer, (size_t)n);
        length -= n;
    }
    return sum;
}

#define SUM 2166136261u

/* body reads exactly length octets and prints their checksum. */
HELPER void body(int fd, long length)
{
    uint32_t sum = drain(fd, length, SUM);
    say("body %ld %08x\n", length, sum);
}

/* get does one whole exchange and returns the checksum of its content. */
HELPER uint32_t quiet_get(int fd, const char *path)
{
    ask(fd, path);
    return drain(fd, head(fd), SUM);
}

HELPER void get(int fd, const char *path)
{
    int status;
    ask(fd, path);
    long length = head_status(fd, &status);
    say("GET %s %d ", path, status);
    body(fd, length);
}

HELPER void fetch(const char *path)
{
    int fd = dial();
    get(fd, path);
    if (close(fd) != 0)
        fail("close");
}

/* begin_download leaves a response with 5000 of its 20000 octets read. */
HELPER int begin_download(void)
{
    int fd = dial();
    ask(fd, "/fixed/20000");
    say("length %ld\n", head(fd));
    body(fd, 5000);
    return fd;
}

/* tcp_pair connects two TCP sockets over loopback: the program is its own server. */
HELPER void tcp_pair(int *client, int *peer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &length) != 0)
        fail("listen");
    *client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*client, (struct sockaddr *)&a, sizeof a) != 0)
        fail("connect");
    *peer = accept(listener, NULL, NULL);
    close(listener);
}

HELPER void wait_for(pid_t pid)
{
    int status = 0;
    pid_t got;
    while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (got != pid)
        fail("waitpid");
    if (WIFSIGNALED(status))
        say("child ended by signal %d\n", WTERMSIG(status));
    else
        say("child exited with %d\n", WEXITSTATUS(status));
}

/*
 * list_descriptors_below prints the open descriptors as the program sees them.
 * Once it has sent an HTTP request, Midstream may keep close-on-exec ones of
 * its own at high numbers: list_descriptors looks at the first hundred only.
 */
HELPER void list_descriptors_below(int end)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int open_at[1024] = {0};
    while (directory && (entry = readdir(directory)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < end)
            open_at[fd] = 1;
    }
    if (directory)
        closedir(directory);
    say("open:");
    for (int fd = 0; fd < end; fd++)
        if (open_at[fd])
            say(" %d", fd);
    say("\n");
}

HELPER void list_descriptors(void) { list_descriptors_below(100); }

#endif
