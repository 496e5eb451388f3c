/*
 * tlsways.c: downloads over TLS as fast as they come, read in every way that OpenSSL or, compiled with -DGNUTLS, GnuTLS has,
 * changing ways in the middle, while signals interrupt all of it.
 *
 *     tlsways SEED COPY CA HOST PORT PATH
 *
 * Downloads PATH over and over, several times in one session, until standard input ends. Every octet is compared with a local
 * copy, and every call's result with what it may be. Prints how many downloads were complete. Exit status 1 at the first difference.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ROOM 65536

static unsigned seed;
static const char *doing = "nothing";
static int fd, epoll_fd;
static void *session;

static void fail(const char *what)
{
    fprintf(stderr, "%s, %s: %s\n", doing, what, strerror(errno));
    exit(1);
}

static unsigned upto(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

/* A migration may come between the question what is pending and the read, but is there as the question is asked mostly. */
static void broken_promise(const char *what)
{
    static int times;
    if (++times > 2) {
        fail(what);
    }
}

static void nothing(int unused)
{
    (void)unused;
}

/* What a read may come to besides octets. */
enum { LATER = -1, ENDED = -2 };

#ifdef GNUTLS

int gnutls_init(void **session, unsigned flags);
void gnutls_deinit(void *session);
int gnutls_certificate_allocate_credentials(void **credentials);
int gnutls_certificate_set_x509_trust_file(void *credentials, const char *file, int format);
int gnutls_credentials_set(void *session, int type, void *credentials);
int gnutls_set_default_priority(void *session);
int gnutls_server_name_set(void *session, int type, const void *name, size_t length);
void gnutls_session_set_verify_cert(void *session, const char *name, unsigned flags);
void gnutls_transport_set_int2(void *session, int in, int out);
int gnutls_handshake(void *session);
const char *gnutls_strerror(int error);
ssize_t gnutls_record_send(void *session, const void *octets, size_t length);
ssize_t gnutls_record_recv(void *session, void *octets, size_t length);
size_t gnutls_record_check_pending(void *session);
int gnutls_bye(void *session, int how);

static void *credentials;

static void begin(const char *ca, const char *host)
{
    if (!credentials && (gnutls_certificate_allocate_credentials(&credentials) || gnutls_certificate_set_x509_trust_file(credentials, ca, 1) < 1)) {
        fail("credentials");
    }
    if (gnutls_init(&session, 2) || gnutls_credentials_set(session, 1, credentials) || gnutls_set_default_priority(session)
        || gnutls_server_name_set(session, 1, host, strlen(host))) {
        fail("GnuTLS makes no session");
    }
    gnutls_session_set_verify_cert(session, host, 0);
    gnutls_transport_set_int2(session, fd, fd);
    int error;
    do {
        error = gnutls_handshake(session);
    } while (error == -28 || error == -52);
    if (error) {
        fail(gnutls_strerror(error));
    }
}

static void put(const char *octets, size_t length)
{
    ssize_t n;
    do {
        n = gnutls_record_send(session, octets, length);
    } while (n == -28 || n == -52);
    if (n != (ssize_t)length) {
        fail("the request is not taken");
    }
}

static size_t pending(void)
{
    return gnutls_record_check_pending(session);
}

static ssize_t get(char *buffer, size_t most)
{
    ssize_t n;
    size_t there;
    switch (upto(8)) {
    case 0:
        doing = "pending";
        there = pending();
        if (there) {
            n = gnutls_record_recv(session, buffer, most);
            if (n > 0) {
                return n;
            }
            broken_promise("what is pending does not come");
        }
        break;
    case 1:
        doing = "a read of nothing";
        n = gnutls_record_recv(session, buffer, 0);
        if (n != -50) {
            fprintf(stderr, "%zd\n", n);
            fail("it is not an invalid request");
        }
        break;
    default:
        break;
    }
    doing = "gnutls_record_recv";
    n = gnutls_record_recv(session, buffer, most);
    if (n == -28 || n == -52 || n == -319) {
        return LATER;
    }
    if (n < 0) {
        fail(gnutls_strerror((int)n));
    }
    return n ? n : ENDED;
}

static void end(void)
{
    gnutls_bye(session, 1);
    gnutls_deinit(session);
}

#else

const void *TLS_client_method(void);
void *SSL_CTX_new(const void *method);
int SSL_CTX_load_verify_locations(void *context, const char *file, const char *folder);
void SSL_CTX_set_verify(void *context, int mode, int (*callback)(int, void *));
long SSL_CTX_ctrl(void *context, int command, long value, void *pointer);
long SSL_ctrl(void *ssl, int command, long value, void *pointer);
void *SSL_new(void *context);
void SSL_free(void *ssl);
int SSL_set1_host(void *ssl, const char *host);
int SSL_set_fd(void *ssl, int fd);
int SSL_connect(void *ssl);
int SSL_read(void *ssl, void *octets, int length);
int SSL_read_ex(void *ssl, void *octets, size_t length, size_t *done);
int SSL_peek(void *ssl, void *octets, int length);
int SSL_peek_ex(void *ssl, void *octets, size_t length, size_t *done);
int SSL_write(void *ssl, const void *octets, int length);
int SSL_pending(const void *ssl);
int SSL_has_pending(const void *ssl);
int SSL_get_error(const void *ssl, int result);
int SSL_shutdown(void *ssl);
void ERR_print_errors_fp(FILE *to);
void ERR_clear_error(void);

static void *context;

static void begin(const char *ca, const char *host)
{
    if (!context && (!(context = SSL_CTX_new(TLS_client_method())) || SSL_CTX_load_verify_locations(context, ca, NULL) != 1)) {
        fail("OpenSSL makes no context");
    }
    SSL_CTX_set_verify(context, 1, NULL);
    SSL_CTX_ctrl(context, 33, upto(2) ? 4 : 0, NULL); /* SSL_MODE_AUTO_RETRY */
    session = SSL_new(context);
    int n;
    if (!session || SSL_ctrl(session, 55, 0, (void *)host) != 1 || SSL_set1_host(session, host) != 1 || SSL_set_fd(session, fd) != 1) {
        fail("OpenSSL makes no session");
    }
    SSL_ctrl(session, 41, upto(3) == 0, NULL); /* SSL_CTRL_SET_READ_AHEAD */
    while ((n = SSL_connect(session)) != 1) {
        if (SSL_get_error(session, n) != 2 && SSL_get_error(session, n) != 3) {
            ERR_print_errors_fp(stderr);
            fail("handshake");
        }
    }
}

static void put(const char *octets, size_t length)
{
    int n;
    while ((n = SSL_write(session, octets, (int)length)) <= 0 && (SSL_get_error(session, n) == 3 || SSL_get_error(session, n) == 2)) {
    }
    if (n != (int)length) {
        fail("the request is not taken");
    }
}

static size_t pending(void)
{
    return (size_t)SSL_pending(session);
}

static ssize_t result(int n, ssize_t length)
{
    if (n > 0) {
        return length;
    }
    int error = SSL_get_error(session, n);
    if (error == 2) {
        return LATER;
    }
    if (error == 6) {
        return ENDED;
    }
    fprintf(stderr, "SSL error %d, %d\n", error, n);
    ERR_print_errors_fp(stderr);
    fail("it failed");
    return ENDED;
}

static ssize_t get(char *buffer, size_t most)
{
    char ahead[300];
    size_t done = 0, there;
    ssize_t n;
    switch (upto(9)) {
    case 0:
        doing = "SSL_read_ex";
        n = SSL_read_ex(session, buffer, most, &done);
        return result((int)n, (ssize_t)done);
    case 1:
        doing = "SSL_peek";
        n = SSL_peek(session, ahead, (int)(most < sizeof ahead ? most : sizeof ahead));
        if (n <= 0) {
            return result((int)n, n);
        }
        done = (size_t)n;
        n = SSL_read(session, buffer, (int)done);
        if (n <= 0 || memcmp(buffer, ahead, (size_t)n)) {
            fail("other octets came than were shown");
        }
        return n;
    case 2:
        doing = "SSL_peek_ex";
        n = SSL_peek_ex(session, ahead, most < sizeof ahead ? most : sizeof ahead, &done);
        if (n <= 0) {
            return result((int)n, n);
        }
        n = SSL_read(session, buffer, (int)most);
        if (n <= 0 || memcmp(buffer, ahead, (size_t)n < done ? (size_t)n : done)) {
            fail("other octets came than were shown");
        }
        return n;
    case 3:
        doing = "SSL_pending";
        there = pending();
        if (there) {
            if (!SSL_has_pending(session)) {
                broken_promise("there is nothing");
            }
            n = SSL_read(session, buffer, (int)most);
            if (n <= 0) {
                broken_promise("what is pending does not come");
            }
            return result((int)n, n);
        }
        break;
    case 4:
        doing = "SSL_read of nothing";
        n = SSL_read(session, buffer, 0);
        if (n > 0) {
            fail("something came");
        }
        ERR_clear_error();
        break;
    case 5:
        doing = "SSL_read_ex of nothing";
        done = 0;
        n = SSL_read_ex(session, buffer, 0, &done);
        if (done) {
            fail("something came");
        }
        ERR_clear_error();
        break;
    default:
        break;
    }
    doing = "SSL_read";
    n = SSL_read(session, buffer, (int)most);
    return result((int)n, n);
}

static void end(void)
{
    SSL_shutdown(session);
    SSL_free(session);
}

#endif

/* Waits for octets, one way or another, for a while. */
static void wait_for(void)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct epoll_event e;
    struct timeval moment = { 1, 0 };
    fd_set set;
    if (pending()) {
        return;
    }
    FD_ZERO(&set);
    FD_SET(fd, &set);
    switch (upto(3)) {
    case 0:
        poll(&p, 1, (int)upto(3) - 1);
        break;
    case 1:
        select(fd + 1, &set, NULL, NULL, &moment);
        break;
    default:
        epoll_wait(epoll_fd, &e, 1, 200);
    }
}

static void exchange(const char *host, const char *path)
{
    static char buffer[ROOM];
    struct response r = { .have = 0 };
    char request[1024];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    put(request, (size_t)length);
    while (!r.complete_head || r.left) {
        size_t most = 1 + upto(upto(4) ? 300 : ROOM);
        if (r.complete_head && (int64_t)most > r.left && upto(4)) {
            most = (size_t)r.left;
        }
        if (!upto(50)) {
            int flags = fcntl(fd, F_GETFL);
            if (fcntl(fd, F_SETFL, flags ^ O_NONBLOCK)) {
                fail("fcntl");
            }
        }
        ssize_t n = get(buffer, most);
        if (n == LATER) {
            wait_for();
            continue;
        }
        if (n <= 0) {
            fprintf(stderr, "with %lld octets left: ", (long long)r.left);
            fail("it ended early");
        }
        if ((size_t)n > most) {
            fail("more than was asked for");
        }
        ssize_t content = take(&r, buffer, (size_t)n);
        int64_t at = size - r.left - content;
        if (content < 0 || memcmp(copy + at, buffer + n - content, (size_t)content)) {
            fprintf(stderr, "at %lld: ", (long long)at);
            fail("wrong octet");
        }
        if (!upto(100000)) {
            pid_t child = fork();
            if (!child) {
                _exit(7);
            }
            int status;
            while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
        }
    }
    if (r.status != 200 || r.length != size) {
        fail("it is another response");
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: tlsways SEED COPY CA HOST PORT PATH\n");
        return 2;
    }
    seed = (unsigned)atoi(argv[1]);
    load_copy(argv[2]);
    struct addrinfo *addresses = look_up(argv[4], argv[5]);
    struct sigaction action = { .sa_handler = nothing };
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = { { 0, 7000 }, { 0, 7000 } };
    setitimer(ITIMER_REAL, &often, NULL);
    long complete = 0;
    for (;;) {
        fd = dial(addresses, 0);
        if (fd < 0) {
            continue; /* interrupted */
        }
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event e = { .events = EPOLLIN };
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
        begin(argv[3], argv[4]);
        if (upto(2)) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
        }
        for (int i = (int)upto(5); i >= 0; i--) {
            exchange(argv[4], argv[6]);
            complete++;
            struct pollfd in = { .fd = 0, .events = POLLIN };
            if (poll(&in, 1, 0) == 1) {
                end();
                printf("%ld downloads\n", complete);
                return 0;
            }
        }
        end();
        close(fd);
        close(epoll_fd);
    }
}
