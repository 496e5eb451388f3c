/*
 * http.h: as much of an HTTP/1.1 client as the test programs here share.
 */
#ifndef CLIENTS_HTTP_H
#define CLIENTS_HTTP_H

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline struct addrinfo *look_up(const char *host, const char *port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
        exit(1);
    }
    return list;
}

/* A socket connected to the first of the addresses that answers. protocol: 0 or IPPROTO_MPTCP. */
static inline int dial(const struct addrinfo *list, int protocol)
{
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
        if (fd < 0)
            continue;
        if (!connect(fd, a->ai_addr, a->ai_addrlen))
            return fd;
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -1;
}

static inline void ask(int fd, const char *host, const char *path)
{
    char request[2048];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: test\r\n\r\n", path, host);
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        die("send");
}

/* A response as it is being read: the head octet by octet into `head`, then `left` octets of content. */
struct response {
    char head[8192];
    size_t have;
    int status;
    int64_t length, left;
    int complete_head;
};

/*
 * Takes n octets that were read. Returns how many of them, at the end, are content; -1 if the head is malformed.
 */
static inline ssize_t take(struct response *r, const char *data, size_t n)
{
    size_t used = 0;
    while (!r->complete_head) {
        if (used == n)
            return 0;
        if (r->have == sizeof r->head - 1)
            return -1;
        r->head[r->have++] = data[used++];
        r->head[r->have] = 0;
        if (r->have >= 4 && !memcmp(r->head + r->have - 4, "\r\n\r\n", 4)) {
            const char *field = strcasestr(r->head, "\r\nContent-Length:");
            if (sscanf(r->head, "HTTP/1.%*d %d", &r->status) != 1 || !field)
                return -1;
            r->length = r->left = strtoll(field + 17, NULL, 10);
            r->complete_head = 1;
        }
    }
    if ((int64_t)(n - used) > r->left)
        return -1;
    r->left -= (int64_t)(n - used);
    return (ssize_t)(n - used);
}

#endif
