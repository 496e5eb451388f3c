/*
 * gapclient: downloads one URL with plain blocking sockets and reports the pauses between its reads.
 *
 *     gapclient [-m] [-o FILE] [-c CA] HOST PORT PATH
 *
 * With -m over Multipath TCP (RFC 8684). With -c over TLS, the server's certificate verified by that authority: for that
 * it is compiled with -DTLS, and linked with -l:libssl.so.3.
 * Prints one JSON object. Times are nanoseconds; those of the gaps count from begun_ns, which is
 * the time of day of the connect call, so that they can be laid beside what others did meanwhile.
 * Exit status: 0 the announced content has arrived, 1 it has not, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GAPS = 512, HEAD = 65536, BUFFER = 262144 };

struct gap {
    int64_t at, length, offset;
};

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct gap gaps[GAPS];
static int count;
static int shortest;
static char buffer[BUFFER];

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Keeps the longest gaps: a new one takes the place of the shortest kept. */
static void record(int64_t at, int64_t length, int64_t offset) {
    struct gap g = {at, length, offset};
    if (count < GAPS) {
        gaps[count] = g;
        if (length < gaps[shortest].length)
            shortest = count;
        count++;
        return;
    }
    if (length <= gaps[shortest].length)
        return;
    gaps[shortest] = g;
    for (int i = 0; i < GAPS; i++)
        if (gaps[i].length < gaps[shortest].length)
            shortest = i;
}

static int by_time(const void *a, const void *b) {
    const struct gap *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static int fail(const char *what, const char *why) {
    fprintf(stderr, "gapclient: %s: %s\n", what, why);
    return 1;
}

static int connect_to(const char *host, const char *port, int multipath) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error) {
        fail(host, gai_strerror(error));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, multipath ? IPPROTO_MPTCP : a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0)
        fail(host, strerror(errno));
    return fd;
}

#ifdef TLS
const void *TLS_client_method(void);
void *SSL_CTX_new(const void *method);
int SSL_CTX_load_verify_locations(void *context, const char *file, const char *folder);
void SSL_CTX_set_verify(void *context, int mode, void *callback);
void *SSL_new(void *context);
long SSL_ctrl(void *ssl, int command, long value, void *pointer);
int SSL_set1_host(void *ssl, const char *host);
int SSL_set_fd(void *ssl, int fd);
int SSL_connect(void *ssl);
int SSL_read(void *ssl, void *octets, int length);
int SSL_write(void *ssl, const void *octets, int length);

static void *ssl;

static int secure(int fd, const char *ca, const char *host) {
    void *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        return fail(ca, "cannot be used");
    SSL_CTX_set_verify(context, 1, NULL);
    ssl = SSL_new(context);
    if (!ssl || SSL_ctrl(ssl, 55, 0, (void *)host) != 1 || SSL_set1_host(ssl, host) != 1 || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
        return fail(host, "the TLS handshake failed");
    return 0;
}

static ssize_t receive(int fd, void *data, size_t length) {
    return ssl ? SSL_read(ssl, data, (int)length) : read(fd, data, length);
}

static ssize_t transmit(int fd, const void *data, size_t length) {
    return ssl ? SSL_write(ssl, data, (int)length) : write(fd, data, length);
}
#else
static int secure(int fd, const char *ca, const char *host) {
    (void)fd, (void)ca;
    return fail(host, "this gapclient has no TLS");
}

static ssize_t receive(int fd, void *data, size_t length) {
    return read(fd, data, length);
}

static ssize_t transmit(int fd, const void *data, size_t length) {
    return write(fd, data, length);
}
#endif

static int write_all(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0)
            return -1;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv) {
    int out = -1, multipath = 0, option;
    const char *ca = NULL;
    while ((option = getopt(argc, argv, "mo:c:")) != -1) {
        if (option == 'c') {
            ca = optarg;
            continue;
        }
        if (option == 'm') {
            multipath = 1;
            continue;
        }
        if (option != 'o')
            return 2;
        out = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (out < 0)
            return fail(optarg, strerror(errno));
    }
    if (argc - optind != 3) {
        fprintf(stderr, "usage: gapclient [-m] [-o FILE] [-c CA] HOST PORT PATH\n");
        return 2;
    }
    const char *host = argv[optind], *port = argv[optind + 1], *path = argv[optind + 2];

    int64_t begun_at = now(CLOCK_REALTIME), begun = now(CLOCK_MONOTONIC);
    int fd = connect_to(host, port, multipath);
    if (fd < 0 || (ca && secure(fd, ca, host)))
        return 1;
    char request[4096];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gapclient\r\nConnection: close\r\n\r\n", path, host);
    if (length >= (int)sizeof request)
        return fail(path, "too long");
    if (transmit(fd, request, (size_t)length) != length)
        return fail("write the request", strerror(errno));

    static char head[HEAD + 1];
    size_t have = 0;
    char *content = NULL;
    int64_t first = 0, last = 0;
    while (!content) {
        if (have == HEAD)
            return fail("response head", "too long");
        ssize_t n = receive(fd, head + have, HEAD - have);
        last = now(CLOCK_MONOTONIC);
        if (n <= 0)
            return fail("read the response head", n ? strerror(errno) : "early end");
        if (!first)
            first = last;
        have += (size_t)n;
        head[have] = 0;
        content = strstr(head, "\r\n\r\n");
    }
    content += 4;
    int64_t octets = head + have - content, announced = -1;
    int status = 0;
    sscanf(head, "HTTP/1.%*d %d", &status);
    const char *field = strcasestr(head, "\r\nContent-Length:");
    if (field && field < content)
        announced = strtoll(field + 17, NULL, 10);
    if (out >= 0 && write_all(out, content, (size_t)octets))
        return fail("write", strerror(errno));

    const char *error = "";
    while (announced < 0 || octets < announced) {
        ssize_t n = receive(fd, buffer, sizeof buffer);
        int64_t then = now(CLOCK_MONOTONIC);
        record(last - begun, then - last, octets);
        if (n < 0)
            error = strerror(errno);
        if (n <= 0)
            break;
        if (out >= 0 && write_all(out, buffer, (size_t)n))
            return fail("write", strerror(errno));
        octets += n;
        /* Not the time after the write: a slow disk would hide in a short gap. */
        last = then;
    }
    int complete = announced >= 0 ? octets == announced : !*error;

    qsort(gaps, (size_t)count, sizeof *gaps, by_time);
    printf("{\"status\":%d,\"octets\":%lld,\"announced\":%lld,\"error\":\"%s\",\"begun_ns\":%lld,\"first_ns\":%lld,\"total_ns\":%lld,\"gaps\":[",
           status, (long long)octets, (long long)announced, error, (long long)begun_at, (long long)(first - begun), (long long)(last - begun));
    for (int i = 0; i < count; i++)
        printf("%s{\"at_ns\":%lld,\"length_ns\":%lld,\"offset\":%lld}", i ? "," : "", (long long)gaps[i].at, (long long)gaps[i].length, (long long)gaps[i].offset);
    puts("]}");
    return complete ? 0 : 1;
}
