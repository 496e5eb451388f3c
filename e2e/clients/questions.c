/*
 * questions.c: asks all that can be asked of the socket of a download, in the middle of it, and prints the answers.
 *
 * Usage: questions ADDRESS full|urgent|away|fill. It fetches /file from port 80, which has to be content of 600,000
 * octets behind Content-Length. It prints "ready" after 100,000 octets and "held" where nothing more comes, and waits
 * for a line each time. With "urgent" it asks for urgent data, too; with "away" it closes the socket after the first
 * line and uses the number again; with "fill" it ends by sending more than is read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/time.h>
#include <unistd.h>

#define CONTENT 600000

static uint64_t digest = 14695981039346656037u;
static long total; /* octets of content */
static char buffer[1 << 16];

static void take(const char *octets, ssize_t count)
{
    for (ssize_t i = 0; i < count; i++) {
        digest = (digest ^ (unsigned char)octets[i]) * 1099511628211u;
    }
    total += count > 0 ? count : 0;
}

static const char *name(long result)
{
    return result < 0 ? strerrorname_np(errno) : "fine";
}

static void say_address(const char *what, int (*ask)(int, struct sockaddr *, socklen_t *), int fd)
{
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    int result = ask(fd, (struct sockaddr *)&a, &length);
    printf("%s: %s, %d octets, family %d, %s, port %d\n", what, name(result), (int)length, a.sin_family, inet_ntoa(a.sin_addr),
           ask == getpeername ? ntohs(a.sin_port) : a.sin_port != 0);
}

static void say_option(const char *what, int fd, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    int result = getsockopt(fd, level, option, &value, &length);
    printf("%s: %s, %d octets, %d\n", what, name(result), (int)length, value);
}

static void say_options(int fd)
{
#define SAY(level, option) say_option(#option, fd, level, option)
    SAY(SOL_SOCKET, SO_ERROR);
    SAY(SOL_SOCKET, SO_TYPE);
    SAY(SOL_SOCKET, SO_DOMAIN);
    SAY(SOL_SOCKET, SO_PROTOCOL);
    SAY(SOL_SOCKET, SO_KEEPALIVE);
    SAY(SOL_SOCKET, SO_ACCEPTCONN);
    SAY(SOL_SOCKET, SO_RCVLOWAT);
    SAY(SOL_SOCKET, SO_REUSEADDR);
    SAY(SOL_SOCKET, SO_OOBINLINE);
    SAY(SOL_SOCKET, SO_PRIORITY);
    SAY(SOL_SOCKET, SO_TIMESTAMP);
    SAY(SOL_SOCKET, 9999);
    SAY(IPPROTO_TCP, TCP_NODELAY);
    SAY(IPPROTO_TCP, TCP_CORK);
    SAY(IPPROTO_TCP, TCP_KEEPIDLE);
    SAY(IPPROTO_TCP, TCP_KEEPINTVL);
    SAY(IPPROTO_TCP, TCP_KEEPCNT);
    SAY(IPPROTO_TCP, TCP_USER_TIMEOUT);
    SAY(IPPROTO_TCP, TCP_DEFER_ACCEPT);
    SAY(IPPROTO_TCP, 9999);
    SAY(IPPROTO_IP, IP_TTL);
    SAY(IPPROTO_IP, IP_TOS);
    SAY(IPPROTO_IPV6, IPV6_V6ONLY);
    SAY(IPPROTO_UDP, 1);
    struct linger linger = { 9, 9 };
    socklen_t length = sizeof linger;
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
    printf("SO_LINGER: %d %d\n", linger.l_onoff, linger.l_linger);
    struct timeval wait = { 9, 9 };
    length = sizeof wait;
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, &length);
    printf("SO_RCVTIMEO: %ld.%06ld\n", (long)wait.tv_sec, (long)wait.tv_usec);
    struct tcp_info info = { 0 };
    length = sizeof info;
    int result = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    printf("TCP_INFO: %s, all of it: %d, state %d, backoff %d, rtt known: %d\n", name(result),
           length == sizeof info || length > 200, info.tcpi_state, info.tcpi_backoff, info.tcpi_rtt > 0);
    char congestion[16] = "";
    length = sizeof congestion;
    printf("TCP_CONGESTION: %s %s\n", name(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &length)), congestion);
}

static void say_ready(const char *what, int fd, int timeout)
{
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
    int result = poll(&p, 1, timeout);
    printf("%s: poll %d %#x", what, result, p.revents);
    fd_set in, out, other;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&other);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    FD_SET(fd, &other);
    struct timeval wait = { 0, timeout * 1000 };
    result = select(fd + 1, &in, &out, &other, &wait);
    printf(", select %d %d%d%d", result, !!FD_ISSET(fd, &in), !!FD_ISSET(fd, &out), !!FD_ISSET(fd, &other));
    for (unsigned edge = 0; edge < 2; edge++) {
        int epfd = epoll_create1(0);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (edge ? (unsigned)EPOLLET : 0), .data.u32 = 7 };
        epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
        event.events = 0;
        result = epoll_wait(epfd, &event, 1, timeout);
        printf(", epoll %d %#x", result, event.events);
        result = epoll_wait(epfd, &event, 1, 0);
        printf(" again %d", result);
        close(epfd);
    }
    int unread = -1, unsent = -1;
    int asked = ioctl(fd, FIONREAD, &unread);
    printf(", FIONREAD %s %d", name(asked), unread > 0);
    asked = ioctl(fd, TIOCOUTQ, &unsent);
    printf(", SIOCOUTQ %s %d\n", name(asked), unsent);
}

static void wait_line(const char *what)
{
    char line[16];
    printf("%s\n", what);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) {
        exit(3);
    }
}

static int dial(const char *address)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("connect");
        exit(2);
    }
    return fd;
}

static void ask(int fd, const char *target)
{
    char request[200];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: files.example\r\n\r\n", target);
    printf("asked: %s\n", name(send(fd, request, (size_t)n, 0)));
}

/* Reads up to these octets, and no further. */
static char *read_to(int fd, const char *end)
{
    static char text[4096];
    size_t count = 0, length = strlen(end);
    while (count < length || memcmp(text + count - length, end, length)) {
        if (count == sizeof text - 1 || recv(fd, text + count, 1, 0) != 1) {
            exit(4);
        }
        text[++count] = 0;
    }
    return text;
}

static void read_head(int fd)
{
    read_to(fd, "\r\n\r\n");
}

/* A whole answer, chunked or with a length; prints its content. */
static void read_answer(int fd, const char *what)
{
    bool chunked = strstr(read_to(fd, "\r\n\r\n"), "chunked");
    char *content = read_to(fd, "\n");
    content = chunked ? read_to(fd, "\n") : content;
    printf("%s: %s", what, content);
    if (chunked) {
        read_to(fd, "0\r\n\r\n");
    }
}

static void read_until(int fd, long end)
{
    while (total < end) {
        long want = end - total < (long)sizeof buffer ? end - total : (long)sizeof buffer;
        ssize_t n = recv(fd, buffer, (size_t)want, 0);
        if (n <= 0) {
            printf("after %ld: %zd %s\n", total, n, name(n));
            exit(5);
        }
        take(buffer, n);
    }
}

/* Midstream leaves a stream alone once its program reads urgent data. */
static void read_in_every_way(int fd, bool urgent)
{
    char first[64], second[64];
    ssize_t n = recv(fd, first, sizeof first, MSG_PEEK | MSG_WAITALL);
    ssize_t m = recv(fd, second, sizeof second, MSG_WAITALL);
    printf("MSG_PEEK: %zd %zd, the same: %d\n", n, m, !memcmp(first, second, sizeof first));
    take(second, m);
    struct iovec vector[2] = { { first, 10 }, { second, 20 } };
    n = readv(fd, vector, 2);
    printf("readv: %zd\n", n);
    take(first, 10);
    take(second, n - 10);
    char control[256];
    struct sockaddr_storage from;
    memset(&from, 0xee, sizeof from);
    struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = vector, .msg_iovlen = 1,
                              .msg_control = control, .msg_controllen = sizeof control };
    n = recvmsg(fd, &message, 0);
    printf("recvmsg: %zd, name %d, control %zu, flags %#x\n", n, (int)message.msg_namelen, message.msg_controllen, message.msg_flags);
    take(first, n);
    socklen_t length = sizeof from;
    n = recvfrom(fd, first, 10, 0, (struct sockaddr *)&from, &length);
    printf("recvfrom: %zd, name %d\n", n, (int)length);
    take(first, n);
    n = recv(fd, buffer, 50000, MSG_WAITALL);
    printf("MSG_WAITALL: %zd\n", n);
    take(buffer, n);
    n = recv(fd, NULL, 1000, MSG_TRUNC | MSG_WAITALL);
    printf("MSG_TRUNC: %zd %s\n", n, name(n));
    total += n > 0 ? n : 0;
    if (urgent) {
        n = recv(fd, first, 1, MSG_OOB);
        printf("MSG_OOB: %zd %s\n", n, name(n));
    }
    n = recv(fd, first, 10, MSG_ERRQUEUE | MSG_DONTWAIT);
    printf("MSG_ERRQUEUE: %zd %s\n", n, name(n));
    int pipes[2];
    n = pipe(pipes);
    for (long left = 10000; left > 0;) {
        n = splice(fd, NULL, pipes[1], NULL, (size_t)left, 0);
        if (n <= 0) {
            printf("splice: %s\n", name(n));
            break;
        }
        left -= n;
        for (ssize_t got; n > 0; n -= got) {
            got = read(pipes[0], buffer, (size_t)n);
            take(buffer, got);
        }
    }
    n = sendfile(pipes[1], fd, NULL, 10);
    printf("sendfile: %zd %s\n", n, name(n));
    total += n > 0 ? n : 0;
    close(pipes[0]), close(pipes[1]);
    n = pread(fd, buffer, 1, 0);
    printf("pread: %s\n", name(n));
    printf("lseek: %s\n", name(lseek(fd, 0, SEEK_CUR)));
    struct stat status;
    const char *told = name(fstat(fd, &status));
    printf("fstat: %s %o\n", told, status.st_mode & S_IFMT);
}

static void set_options(int fd)
{
    int zero = 0, one = 1, four = 4;
    struct timeval wait = { 0, 200000 };
    struct linger linger = { 1, 3 };
    printf("set:");
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &zero, sizeof zero)));
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &one, sizeof one)));
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &zero, sizeof zero)));
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &four, sizeof four)));
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &zero, 1)));
    printf(" %s", name(setsockopt(fd, IPPROTO_TCP, 9999, &zero, sizeof zero)));
    printf(" %s", name(setsockopt(fd, IPPROTO_IP, IP_TOS, &four, sizeof four)));
    printf(" %s", name(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &zero, sizeof zero)));
    printf(" %s", name(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger)));
    linger.l_onoff = 0;
    printf(" %s", name(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger)));
    printf(" %s", name(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait)));
    printf(" %s\n", name(setsockopt(fd, SOL_SOCKET, SO_DOMAIN, &zero, sizeof zero)));
}

static void misuse(int fd)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    printf("connect: %s\n", name(connect(fd, (struct sockaddr *)&a, sizeof a)));
    printf("bind: %s\n", name(bind(fd, (struct sockaddr *)&a, sizeof a)));
    printf("listen: %s\n", name(listen(fd, 1)));
    printf("accept: %s\n", name(accept(fd, NULL, NULL)));
}

/* In the middle of the response, where nothing comes. */
static void wait_in_vain(int fd)
{
    say_ready("held", fd, 50);
    struct timeval before, after;
    gettimeofday(&before, NULL);
    ssize_t n = recv(fd, buffer, 10, 0);
    gettimeofday(&after, NULL);
    long took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_usec - before.tv_usec) / 1000;
    printf("SO_RCVTIMEO: %zd %s, not before it: %d\n", n, name(n), took >= 195);
    n = recv(fd, buffer, 10, MSG_DONTWAIT);
    printf("MSG_DONTWAIT: %zd %s\n", n, name(n));
    n = recv(fd, buffer, 10, MSG_PEEK | MSG_DONTWAIT);
    printf("MSG_PEEK: %zd %s\n", n, name(n));
    int flags = fcntl(fd, F_GETFL);
    printf("flags: %#x\n", flags);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    n = read(fd, buffer, 10);
    printf("O_NONBLOCK: %zd %s\n", n, name(n));
    fcntl(fd, F_SETFL, flags);
    printf("F_GETFD: %#x\n", fcntl(fd, F_GETFD));
}

/* Sends more than any buffer holds to a server that does not read it. */
static void fill(int fd)
{
    static const char head[] = "POST /x?hold=0 HTTP/1.1\r\nHost: files.example\r\nContent-Length: 900000000\r\n\r\n";
    long sent = send(fd, head, sizeof head - 1, 0);
    ssize_t n = 0;
    /* Full is what stays full: what has been written may go on to the next buffer. */
    for (int quiet = 0; quiet < 20 && sent < 800000000;) {
        n = send(fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        if (n < 0) {
            usleep(20000);
        }
    }
    printf("full: %zd %s, it took something: %d, everything: %d\n", n, name(n), sent > 10000, sent >= 800000000);
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    printf("writable: %d\n", poll(&p, 1, 50));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 1;
    }
    int one = 1, five = 5, fd = dial(argv[1]);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &five, sizeof five);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &five, sizeof five);
    ask(fd, "/file");
    read_head(fd);
    read_until(fd, 100000);
    wait_line("ready");
    if (!strcmp(argv[2], "away")) {
        int other = dial(argv[1]), before = fd;
        printf("closed: %s\n", name(close(fd)));
        printf("again: %s\n", name(close(fd)));
        fd = dial(argv[1]);
        printf("the same number: %d\n", fd == before);
        ask(fd, "/x?n=2");
        read_answer(fd, "then");
        close(fd);
        ask(other, "/x?n=3");
        read_answer(other, "and");
        say_option("SO_ERROR", other, SOL_SOCKET, SO_ERROR);
        return 0;
    }
    say_ready("ready", fd, 1000);
    say_address("getpeername", getpeername, fd);
    say_address("getsockname", getsockname, fd);
    say_options(fd);
    misuse(fd);
    read_in_every_way(fd, strcmp(argv[2], "full"));
    set_options(fd);
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        take(buffer, n);
    }
    wait_in_vain(fd);
    wait_line("held");
    struct timeval long_ = { 5, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &long_, sizeof long_);
    read_until(fd, CONTENT);
    printf("content: %ld, %016lx\n", total, (unsigned long)digest);
    say_ready("between", fd, 50);
    ask(fd, "/x?n=1");
    read_answer(fd, "the next");
    say_options(fd);
    if (!strcmp(argv[2], "fill")) {
        fill(fd);
        return 0;
    }
    ask(fd, "/x?n=4");
    printf("shutdown: %s\n", name(shutdown(fd, SHUT_WR)));
    read_answer(fd, "after it");
    ssize_t n = recv(fd, buffer, 10, 0);
    printf("the end: %zd\n", n);
    n = recv(fd, buffer, 10, 0);
    printf("again: %zd\n", n);
    n = send(fd, buffer, 10, MSG_NOSIGNAL);
    printf("send: %s\n", name(n));
    say_ready("ended", fd, 50);
    say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
    printf("close: %s\n", name(close(fd)));
    return 0;
}
