/*
 * biopair: downloads a file by a TLS session of OpenSSL's that works on one end of a pair of BIOs (BIO_new_bio_pair), as
 * Boost.Asio's do, and moves the records between the other end and its socket itself.
 *
 *     biopair HOST PORT PATH CA FILE
 *
 * No headers of the library are needed; link with -l:libssl.so.3 -l:libcrypto.so.3.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>

#include "http.h"

const void *TLS_client_method(void);
void *SSL_CTX_new(const void *method);
void SSL_CTX_free(void *context);
int SSL_CTX_load_verify_locations(void *context, const char *file, const char *folder);
void SSL_CTX_set_verify(void *context, int mode, void *callback);
void *SSL_new(void *context);
void SSL_free(void *ssl);
long SSL_ctrl(void *ssl, int command, long value, void *pointer);
int SSL_set1_host(void *ssl, const char *name);
void SSL_set_bio(void *ssl, void *in, void *out);
int SSL_connect(void *ssl);
int SSL_read(void *ssl, void *buffer, int length);
int SSL_write(void *ssl, const void *octets, int length);
int SSL_shutdown(void *ssl);
int SSL_get_error(const void *ssl, int result);
int BIO_new_bio_pair(void **one, size_t size_one, void **other, size_t size_other);
int BIO_read(void *bio, void *buffer, int length);
int BIO_write(void *bio, const void *octets, int length);
int BIO_free(void *bio);

enum { VERIFY_PEER = 1, SET_HOST_NAME = 55, WANT_READ = 2 };

static int fd;
static void *outer;

static void flush(void)
{
    char octets[5000];
    for (int n; (n = BIO_read(outer, octets, sizeof octets)) > 0;) {
        if (send(fd, octets, (size_t)n, MSG_NOSIGNAL) != n)
            die("send");
    }
}

/* What the pair does not take is kept for the next time. */
static void feed(void)
{
    static char octets[30000];
    static size_t at, have;
    if (at == have) {
        struct pollfd readable = { .fd = fd, .events = POLLIN };
        ssize_t n;
        do {
            poll(&readable, 1, -1);
            n = recv(fd, octets, sizeof octets, MSG_DONTWAIT);
        } while (n < 0 && errno == EAGAIN);
        if (n <= 0) {
            fprintf(stderr, "the connection ended early\n");
            exit(1);
        }
        at = 0;
        have = (size_t)n;
    }
    int taken = BIO_write(outer, octets + at, (int)(have - at));
    at += taken > 0 ? (size_t)taken : 0;
}

/* Whether the call is to be made again. */
static int wants(const void *ssl, int result)
{
    flush();
    if (result > 0)
        return 0;
    if (SSL_get_error(ssl, result) != WANT_READ) {
        fprintf(stderr, "TLS failed: %d\n", SSL_get_error(ssl, result));
        exit(1);
    }
    feed();
    return 1;
}

int main(int count, char **arguments)
{
    static struct response response;
    char buffer[20000];
    void *inner;
    int n;
    if (count != 6)
        return 2;
    const char *host = arguments[1];
    fd = dial(look_up(host, arguments[2]), 0);
    int out = open(arguments[5], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    void *context = SSL_CTX_new(TLS_client_method());
    if (fd < 0 || out < 0 || SSL_CTX_load_verify_locations(context, arguments[4], NULL) != 1)
        die("not connected");
    SSL_CTX_set_verify(context, VERIFY_PEER, NULL);
    void *ssl = SSL_new(context);
    SSL_ctrl(ssl, SET_HOST_NAME, 0, (void *)host);
    SSL_set1_host(ssl, host);
    if (BIO_new_bio_pair(&inner, 0, &outer, 0) != 1)
        die("BIO_new_bio_pair");
    SSL_set_bio(ssl, inner, inner);
    while (wants(ssl, SSL_connect(ssl))) {
    }
    int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", arguments[3], host);
    while (wants(ssl, SSL_write(ssl, buffer, length))) {
    }
    while (!response.complete_head || response.left > 0) {
        if (wants(ssl, n = SSL_read(ssl, buffer, sizeof buffer)))
            continue;
        ssize_t content = take(&response, buffer, (size_t)n);
        if (content < 0 || (content && write(out, buffer + n - content, (size_t)content) != content))
            die("write");
    }
    SSL_shutdown(ssl);
    flush();
    SSL_free(ssl);
    SSL_CTX_free(context);
    BIO_free(outer);
    close(fd);
    close(out);
    printf("%d %lld\n", response.status, (long long)response.length);
    return 0;
}
