/*
 * nasty: downloads read in every way there is, changing ways in the middle, while signals interrupt all of it.
 *
 *     nasty THREADS SEED COPY HOST PORT PATH
 *
 * Each thread downloads PATH over and over, several times on one connection, until standard input ends. Every octet is
 * compared with a local copy, and every call's result with what it may be. Prints how many downloads were complete. Exit
 * status 1 at the first difference.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define ROOM 65536

static const char *host, *path;
static struct addrinfo *addresses;
static _Atomic int stop;
static _Atomic long complete;
static _Thread_local unsigned seed;
static _Thread_local const char *doing = "nothing";

static void fail(const char *what)
{
    fprintf(stderr, "%s, %s: %s\n", doing, what, strerror(errno));
    exit(1);
}

static unsigned upto(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static void nothing(int unused)
{
    (void)unused;
}

struct reader {
    int fd, epoll_fd, pipe[2];
    unsigned way;
    int amid; /* of content: splice leaves heads unseen, which makes a stream unmovable */
};

/* Waits for octets, one way or another, for a while. */
static void wait_for(const struct reader *r)
{
    struct pollfd p[3] = { { .fd = -1 }, { .fd = r->fd, .events = POLLIN }, { .fd = r->pipe[0], .events = POLLIN } };
    struct epoll_event e;
    struct timespec second = { 1, 0 };
    struct timeval moment = { 1, 0 };
    sigset_t none;
    fd_set set, other;
    sigemptyset(&none);
    FD_ZERO(&set);
    FD_ZERO(&other);
    FD_SET(r->fd, &set);
    switch (upto(6)) {
    case 0:
        poll(p, 3, (int)upto(3) - 1);
        break;
    case 1:
        ppoll(p, 2, &second, &none);
        break;
    case 2:
        select(r->fd + 1, &set, NULL, upto(2) ? &other : NULL, &moment);
        break;
    case 3:
        pselect(r->fd + 1, &set, &other, NULL, &second, &none);
        break;
    default:
        epoll_wait(r->epoll_fd, &e, 1, 200);
    }
}

/* Reads up to `most` octets into the buffer, in a way that is chosen anew each time. Never more than were asked for. */
static ssize_t read_somehow(const struct reader *r, char *buffer, size_t most)
{
    struct iovec parts[20];
    struct msghdr message = { .msg_iov = parts };
    struct mmsghdr several[4];
    char name[128], ahead[300], control[CMSG_SPACE(sizeof(struct timeval))];
    socklen_t length = sizeof name;
    ssize_t n, again;
    size_t count = 0, given = 0;
    if (!upto(4)) {
        memset(parts, 0, 10 * sizeof *parts);
        count = 10; /* as of a program that goes on with a vector it has filled in part */
    }
    while (count < 20 && given < most) {
        size_t piece = upto(4) ? upto((unsigned)most) : upto(3);
        piece = piece > most - given ? most - given : piece;
        parts[count++] = (struct iovec){ piece || upto(2) ? buffer + given : NULL, piece };
        given += piece;
    }
    message.msg_iovlen = count;
    switch (r->way ? r->way : 1 + upto(14)) {
    case 1:
        doing = "read";
        return read(r->fd, buffer, most);
    case 2:
        doing = "recv";
        return recv(r->fd, buffer, most, upto(2) ? MSG_DONTWAIT : 0);
    case 3:
        doing = "recvfrom";
        return recvfrom(r->fd, buffer, most, 0, (struct sockaddr *)name, &length);
    case 4:
        doing = "readv";
        n = readv(r->fd, parts, (int)count);
        if (n == 0 && given == 0)
            n = -1, errno = EAGAIN;
        return n;
    case 5:
        doing = "recvmsg";
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        n = recvmsg(r->fd, &message, 0);
        if (n > 0 && message.msg_flags & MSG_CTRUNC)
            fail("the time that SO_TIMESTAMP tells was cut off");
        if (message.msg_iov != parts || message.msg_iovlen != count)
            fail("the header was changed");
        if (n == 0 && given == 0)
            n = -1, errno = EAGAIN;
        return n;
    case 6:
        doing = "recvmmsg";
        memset(several, 0, sizeof several);
        for (int i = 0; i < 4; i++) {
            parts[i] = (struct iovec){ buffer + (size_t)i * (most / 4), most / 4 };
            several[i].msg_hdr.msg_iov = &parts[i];
            several[i].msg_hdr.msg_iovlen = 1;
        }
        if (most < 4)
            return read(r->fd, buffer, most);
        n = recvmmsg(r->fd, several, 4, MSG_WAITFORONE, NULL);
        if (n <= 0)
            return n;
        for (again = 0, count = 0; again < n; again++) {
            memmove(buffer + count, parts[again].iov_base, several[again].msg_len);
            count += several[again].msg_len;
        }
        return (ssize_t)count;
    case 7:
        doing = "MSG_PEEK";
        n = recv(r->fd, ahead, most < sizeof ahead ? most : sizeof ahead, MSG_PEEK);
        if (n <= 0)
            return n;
        again = recv(r->fd, buffer, (size_t)n, 0);
        if (again > 0 && memcmp(buffer, ahead, (size_t)again))
            fail("other octets came than were shown");
        return again;
    case 8:
        doing = "MSG_WAITALL";
        most = most > 5000 ? 5000 : most;
        return recv(r->fd, buffer, most, MSG_WAITALL);
    case 9:
        if (!r->amid)
            return read(r->fd, buffer, most);
        doing = "splice";
        n = splice(r->fd, NULL, r->pipe[1], NULL, most > 4096 ? 4096 : most, SPLICE_F_NONBLOCK);
        if (n <= 0)
            return n;
        if (read(r->pipe[0], buffer, (size_t)n) != n)
            fail("the pipe has less than it was given");
        return n;
    case 10:
        doing = "a read into nowhere";
        errno = 0;
        n = recv(r->fd, (void *)8, most, MSG_DONTWAIT);
        if (n > 0)
            fail("it is not EFAULT");
        if (errno == EFAULT)
            errno = EAGAIN;
        return n;
    case 11:
        doing = "read of nothing";
        if ((n = read(r->fd, buffer, 0)) != 0)
            return n;
        return read(r->fd, buffer, most);
    case 12: {
        doing = "O_NONBLOCK";
        int flags = fcntl(r->fd, F_GETFL), on = 1, off = 0;
        if (flags < 0 || fcntl(r->fd, F_SETFL, flags ^ O_NONBLOCK))
            fail("fcntl");
        n = recv(r->fd, buffer, most, MSG_DONTWAIT);
        again = errno;
        if (ioctl(r->fd, FIONBIO, flags & O_NONBLOCK ? &on : &off) || fcntl(r->fd, F_GETFL) != flags)
            fail("the flags are not as they were set");
        errno = (int)again;
        return n;
    }
    case 13: {
        doing = "SO_RCVTIMEO";
        struct timeval limit = { 0, 2000 }, none = { 0, 0 }, told;
        length = sizeof told;
        setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        n = recv(r->fd, buffer, most, 0);
        again = errno;
        if (getsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &told, &length) || told.tv_usec < 2000 || told.tv_usec > 8000)
            fail("the time-out is not as it was set");
        setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        errno = (int)again;
        return n;
    }
    default: {
        doing = "SO_RCVLOWAT";
        int some = 100, one = 1;
        setsockopt(r->fd, SOL_SOCKET, SO_RCVLOWAT, &some, sizeof some);
        n = recv(r->fd, buffer, most, MSG_DONTWAIT);
        again = errno;
        setsockopt(r->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
        errno = (int)again;
        return n;
    }
    }
}

static void exchange(struct reader *reader)
{
    static _Thread_local char buffer[ROOM];
    struct response r = { .have = 0 };
    ask(reader->fd, host, path);
    while (!r.complete_head || r.left) {
        size_t most = 1 + upto(upto(4) ? ROOM : 300);
        if (r.complete_head && (int64_t)most > r.left)
            most = (size_t)r.left; /* MSG_WAITALL must not wait for what does not come */
        else if (!r.complete_head)
            most = 1 + upto(50);
        reader->amid = r.complete_head && r.left > ROOM;
        ssize_t n = read_somehow(reader, buffer, most);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (fcntl(reader->fd, F_GETFL) & O_NONBLOCK || upto(2))
                wait_for(reader);
            continue;
        }
        if (n <= 0) {
            fprintf(stderr, "with %lld octets left: ", (long long)r.left);
            fail(n ? "it failed" : "it ended early");
        }
        if ((size_t)n > most)
            fail("more than was asked for");
        ssize_t content = take(&r, buffer, (size_t)n);
        int64_t at = size - r.left - content;
        if (content < 0 || memcmp(copy + at, buffer + n - content, (size_t)content))
            fail("wrong octet");
        if (!upto(500)) {
            /* A child that comes and goes. */
            pid_t child = fork();
            if (!child)
                _exit(7);
            int status;
            while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
            if (child > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 7))
                fail("the child did not end as it should");
        }
    }
    if (r.status != 200 || r.length != size)
        fail("it is another response");
    atomic_fetch_add(&complete, 1);
}

static void *work(void *given)
{
    seed = (unsigned)(uintptr_t)given;
    while (!stop) {
        struct reader r = { .way = upto(3) ? 0 : 1 + upto(9) };
        r.fd = dial(addresses, 0);
        r.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (r.fd < 0 || r.epoll_fd < 0 || pipe2(r.pipe, O_CLOEXEC))
            die("connect");
        if (upto(2))
            fcntl(r.fd, F_SETFL, O_NONBLOCK);
        int on = 1;
        setsockopt(r.fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
        struct epoll_event e = { .events = EPOLLIN | (upto(2) ? EPOLLRDHUP : 0) | (upto(3) ? 0 : EPOLLEXCLUSIVE) };
        epoll_ctl(r.epoll_fd, EPOLL_CTL_ADD, r.fd, &e);
        int exchanges = 1 + (int)upto(5);
        for (int i = 0; i < exchanges && !stop; i++)
            exchange(&r);
        close(r.fd);
        close(r.epoll_fd);
        close(r.pipe[0]);
        close(r.pipe[1]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: nasty THREADS SEED COPY HOST PORT PATH\n");
        return 2;
    }
    int threads = atoi(argv[1]);
    host = argv[4], path = argv[6];
    load_copy(argv[3]);
    addresses = look_up(host, argv[5]);
    struct sigaction action = { .sa_handler = nothing };
    sigaction(SIGALRM, &action, NULL);
    pthread_t *all = start(threads, argv[2], work);
    struct itimerval often = { { 0, 3000 }, { 0, 3000 } };
    setitimer(ITIMER_REAL, &often, NULL);
    await_input();
    stop = 1;
    join(all, threads);
    printf("%ld downloads\n", complete);
    return 0;
}
