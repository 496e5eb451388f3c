/*
 * witness: downloads by each of three calls, with and without O_NONBLOCK; and a library to be preloaded that says how many
 * octets of sockets it has seen come by one of them.
 *
 *     witness ADDRESS PORT PATH
 *     -DWITNESS_read, -DWITNESS_recv or -DWITNESS_recvfrom: the library
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined WITNESS_read || defined WITNESS_recv || defined WITNESS_recvfrom

static long seen;

static ssize_t count(int fd, ssize_t n)
{
    int saved = errno;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (n > 0 && !getsockname(fd, (struct sockaddr *)&name, &length) && name.ss_family == AF_INET)
        seen += n;
    errno = saved;
    return n;
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

#ifdef WITNESS_read
ssize_t read(int fd, void *buffer, size_t length) { return count(fd, NEXT(read)(fd, buffer, length)); }
#elif defined WITNESS_recv
ssize_t recv(int fd, void *buffer, size_t length, int flags) { return count(fd, NEXT(recv)(fd, buffer, length, flags)); }
#else
ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *from, socklen_t *from_length)
{
    return count(fd, NEXT(recvfrom)(fd, buffer, length, flags, from, from_length));
}
#endif

__attribute__((destructor)) static void tell(void) { dprintf(2, "%ld octets\n", seen); }

#else

static ssize_t once(int way, int fd, void *buffer, size_t length)
{
    return way == 0 ? read(fd, buffer, length) : way == 1 ? recv(fd, buffer, length, 0) : recvfrom(fd, buffer, length, 0, NULL, NULL);
}

int main(int argc, char **argv)
{
    struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])) };
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    char request[200], buffer[4096];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", argc > 3 ? argv[3] : "/");
    for (int way = 0; way < 6; way++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&server, sizeof server) || send(fd, request, (size_t)length, 0) != length)
            return 1;
        if (way % 2)
            fcntl(fd, F_SETFL, O_NONBLOCK);
        long total = 0;
        for (ssize_t n; (n = once(way / 2, fd, buffer, sizeof buffer)) != 0;) {
            struct pollfd readable = { .fd = fd, .events = POLLIN };
            if (n < 0 && (errno != EAGAIN || poll(&readable, 1, 10000) != 1))
                return 2;
            total += n > 0 ? n : 0;
        }
        printf("%ld\n", total);
        close(fd);
    }
    return 0;
}

#endif
