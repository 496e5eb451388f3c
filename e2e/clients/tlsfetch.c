/*
 * tlsfetch.c: downloads a file over TLS with plain blocking reads, by OpenSSL or, compiled with -DGNUTLS, by GnuTLS, with settings
 * that other programs do not offer.
 *
 *     tlsfetch CA HOST PORT PATH OUT [SETTING[=VALUE]…]
 *
 * With churn=THREADS that many threads download it again and again, some times on each connection, and compare it with the file
 * OUT, until standard input ends.
 *
 * With inside (OpenSSL), it sends its request from within the library's call that shakes hands. With wait, it reads nothing more until standard input ends.
 *
 * callback, verifier (OpenSSL) and function (GnuTLS) give a verification function of the program's own. It has a value: what it does when
 * it is called again, after the handshake: "no" refuses, "jump" leaves by siglongjmp, "look" uses the session that it is given; "yes"
 * takes everything, always; "pin" has looked at digests. Its calls after the handshake are counted in the last line of output.
 *
 * pull (GnuTLS) gives functions of the program's own to send and receive with, and goes by what those have met; its value is "ahead" where
 * they read ahead, and "memory" where they have nothing to do with the socket, which is read and written between the calls. cork (GnuTLS)
 * corks what it writes.
 *
 * No headers of the libraries are needed; link with -l:libssl.so.3 -l:libcrypto.so.3 or -l:libgnutls.so.30.
 */
#define _GNU_SOURCE
#include "message.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/epoll.h>

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The value of a setting, NULL if it is not given, "" if it has none. */
static const char *setting(char **list, const char *name)
{
    size_t n = strlen(name);
    for (; *list; list++) {
        if (!strncmp(*list, name, n) && (!(*list)[n] || (*list)[n] == '=')) {
            return (*list)[n] ? *list + n + 1 : "";
        }
    }
    return NULL;
}

static void *own;         /* the session, once its handshake is over */
static pthread_t thread;  /* which made it */
static int calls;         /* of its own function since then, at the top of a chain */
static int elsewhere;     /* such calls on another thread, or of another session */
static const char *does;  /* what it does */
static sigjmp_buf away;
static char **arguments;
static int asked;         /* the request has been sent already */

#ifndef GNUTLS
static int waiting = -1;  /* with epoll: the set that it waits by, once its handshake is over */
#endif

#ifdef GNUTLS

int gnutls_init(void **session, unsigned flags);
void gnutls_deinit(void *session);
int gnutls_certificate_allocate_credentials(void **credentials);
void gnutls_certificate_free_credentials(void *credentials);
int gnutls_certificate_set_x509_trust_file(void *credentials, const char *file, int format);
int gnutls_credentials_set(void *session, int type, void *credentials);
int gnutls_priority_set_direct(void *session, const char *priorities, const char **position);
int gnutls_server_name_set(void *session, int type, const void *name, size_t length);
void gnutls_session_set_verify_cert(void *session, const char *name, unsigned flags);
void gnutls_transport_set_int2(void *session, int in, int out);
int gnutls_handshake(void *session);
const char *gnutls_strerror(int error);
ssize_t gnutls_record_send(void *session, const void *octets, size_t length);
ssize_t gnutls_record_recv(void *session, void *octets, size_t length);
int gnutls_bye(void *session, int how);
const void *gnutls_certificate_get_peers(void *session, unsigned *count);
int gnutls_x509_crt_init(void **certificate);
int gnutls_x509_crt_import(void *certificate, const void *data, int format);
int gnutls_x509_crt_get_fingerprint(void *certificate, int digest, void *octets, size_t *length);
void gnutls_x509_crt_deinit(void *certificate);
int gnutls_fingerprint(int digest, const void *data, void *octets, size_t *length);

void gnutls_record_cork(void *session);
int gnutls_record_uncork(void *session, unsigned flags);
void gnutls_transport_set_ptr(void *session, void *pointer);
void gnutls_transport_set_errno(void *session, int error);
void gnutls_transport_set_push_function(void *session, ssize_t (*function)(void *, const void *, size_t));
void gnutls_transport_set_pull_function(void *session, ssize_t (*function)(void *, void *, size_t));
void gnutls_transport_set_pull_timeout_function(void *session, int (*function)(void *, unsigned));

void gnutls_certificate_set_verify_function(void *credentials, int (*function)(void *));
int gnutls_certificate_verify_peers3(void *session, const char *name, unsigned *status);
void gnutls_session_set_ptr(void *session, void *pointer);
void *gnutls_session_get_ptr(void *session);

static _Thread_local void *credentials;

/* The program's own way to its socket. */
static struct {
    void *session;
    int fd;
    bool ahead, memory, corks;
    bool nothing; /* the last pull has found nothing */
    int vain;     /* how often the library said "again" without that */
    char in[65536], out[65536];
    size_t in_length, out_length;
} way;

static void fill(void)
{
    ssize_t n = recv(way.fd, way.in + way.in_length, sizeof way.in - way.in_length, MSG_DONTWAIT);
    way.in_length += n > 0 ? (size_t)n : 0;
}

static ssize_t pull(void *pointer, void *octets, size_t length)
{
    (void)pointer;
    ssize_t n = (ssize_t)(way.in_length < length ? way.in_length : length);
    if (!n && way.ahead) {
        fill();
        n = (ssize_t)(way.in_length < length ? way.in_length : length);
    }
    if (n) {
        memcpy(octets, way.in, (size_t)n);
        memmove(way.in, way.in + n, way.in_length -= (size_t)n);
    } else if (!way.ahead && !way.memory) {
        n = recv(way.fd, octets, length, MSG_DONTWAIT);
    } else {
        n = -1;
    }
    way.nothing = n < 0;
    if (n < 0) {
        gnutls_transport_set_errno(way.session, EAGAIN);
    }
    errno = 0;
    return n;
}

static int pull_timeout(void *pointer, unsigned ms)
{
    struct pollfd readable = { .fd = way.fd, .events = POLLIN };
    (void)pointer;
    return way.in_length || poll(&readable, 1, (int)ms) > 0;
}

static ssize_t push(void *pointer, const void *octets, size_t length)
{
    (void)pointer;
    if (!way.memory) {
        return send(way.fd, octets, length, MSG_NOSIGNAL);
    }
    memcpy(way.out + way.out_length, octets, length);
    way.out_length += length;
    return (ssize_t)length;
}

/* The library is to try again. */
static void wait_for_more(void)
{
    struct pollfd readable = { .fd = way.fd, .events = POLLIN };
    if (!way.session) {
        return;
    }
    if (way.memory && way.out_length) {
        if (send(way.fd, way.out, way.out_length, MSG_NOSIGNAL) != (ssize_t)way.out_length) {
            die("send");
        }
        way.out_length = 0;
    }
    if (!way.nothing && ++way.vain > 100) {
        fail("it is to try again and again, and its own function knows nothing of that");
    }
    if (way.nothing) {
        poll(&readable, 1, -1);
        if (way.memory) {
            fill();
        }
    }
}

static int verify(void *session)
{
    unsigned status = 1, count = 0;
    if (own) {
        calls++;
        elsewhere += session != own || !pthread_equal(pthread_self(), thread);
        if (!strcmp(does, "no")) {
            return -1;
        }
        if (!strcmp(does, "jump")) {
            siglongjmp(away, 1);
        }
    }
    if (!strcmp(does, "yes")) {
        return 0;
    }
    const void *peers = gnutls_certificate_get_peers(session, &count);
    if (!strcmp(does, "pin")) {
        unsigned char digest[64];
        size_t length = sizeof digest;
        gnutls_fingerprint(6, peers, digest, &length);
    }
    return peers && !gnutls_certificate_verify_peers3(session, gnutls_session_get_ptr(session), &status) && !status ? 0 : -1;
}

static void look_at(void *session, char **settings)
{
    unsigned count;
    unsigned char digest[64];
    size_t length = sizeof digest;
    const void *peers = gnutls_certificate_get_peers(session, &count);
    if (setting(settings, "fingerprint")) {
        void *certificate;
        if (gnutls_x509_crt_init(&certificate) || gnutls_x509_crt_import(certificate, peers, 0)
            || gnutls_x509_crt_get_fingerprint(certificate, 6, digest, &length)) {
            fail("fingerprint");
        }
        gnutls_x509_crt_deinit(certificate);
    }
    if (setting(settings, "digest") && gnutls_fingerprint(6, peers, digest, &length)) {
        fail("digest");
    }
}

static void *begin(int fd, const char *ca, const char *host, char **settings)
{
    void *session;
    const char *priorities = setting(settings, "priority");
    if (gnutls_certificate_allocate_credentials(&credentials) || gnutls_certificate_set_x509_trust_file(credentials, ca, 1) < 1
        || gnutls_init(&session, 2) || gnutls_credentials_set(session, 1, credentials)
        || gnutls_priority_set_direct(session, priorities ? priorities : "NORMAL", NULL)
        || gnutls_server_name_set(session, 1, host, strlen(host))) {
        fail("GnuTLS makes no session");
    }
    if ((does = setting(settings, "function"))) {
        gnutls_session_set_ptr(session, (void *)host);
        gnutls_certificate_set_verify_function(credentials, verify);
    } else if (!setting(settings, "trusting")) {
        gnutls_session_set_verify_cert(session, host, 0);
    }
    gnutls_transport_set_int2(session, fd, fd);
    const char *pulls = setting(settings, "pull");
    way.corks = setting(settings, "cork");
    if (pulls) {
        way.session = session;
        way.fd = fd;
        way.ahead = !strcmp(pulls, "ahead");
        way.memory = !strcmp(pulls, "memory");
        gnutls_transport_set_ptr(session, &way);
        gnutls_transport_set_push_function(session, push);
        gnutls_transport_set_pull_function(session, pull);
        gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    }
    int error;
    do {
        error = gnutls_handshake(session);
        if (error) {
            wait_for_more();
        }
    } while (error == -28 || error == -52);
    if (error) {
        fail(gnutls_strerror(error));
    }
    look_at(session, settings);
    return session;
}

static ssize_t put(void *session, const void *octets, size_t length)
{
    if (way.corks) {
        gnutls_record_cork(session);
    }
    ssize_t n = gnutls_record_send(session, octets, length);
    if (way.corks && gnutls_record_uncork(session, 1) != n) { /* GNUTLS_RECORD_WAIT */
        fail("uncork");
    }
    return n;
}

static ssize_t get(void *session, void *octets, size_t length)
{
    ssize_t n;
    do {
        n = gnutls_record_recv(session, octets, length);
        if (n == -28) {
            wait_for_more();
        }
        if (n == -37) { /* GNUTLS_E_REHANDSHAKE */
            n = gnutls_handshake(session);
            if (n) {
                fail(gnutls_strerror((int)n));
            }
            n = -28;
        }
    } while (n == -28 || n == -52); /* GNUTLS_E_AGAIN, GNUTLS_E_INTERRUPTED */
    return n;
}

static void bye(void *session)
{
    gnutls_bye(session, 1); /* GNUTLS_SHUT_WR */
}

static void end(void *session)
{
    bye(session);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
}

#else

const void *TLS_client_method(void);
void *SSL_CTX_new(const void *method);
void SSL_CTX_free(void *context);
int SSL_CTX_load_verify_locations(void *context, const char *file, const char *folder);
void SSL_CTX_set_verify(void *context, int mode, int (*callback)(int, void *));
void SSL_CTX_set_verify_depth(void *context, int depth);
void SSL_CTX_set_cert_verify_callback(void *context, int (*callback)(void *, void *), void *argument);
int X509_verify_cert(void *store);
long SSL_CTX_ctrl(void *context, int command, long value, void *pointer);
int SSL_CTX_set_cipher_list(void *context, const char *list);
long SSL_ctrl(void *ssl, int command, long value, void *pointer);
void *SSL_new(void *context);
void SSL_free(void *ssl);
int SSL_set1_host(void *ssl, const char *host);
int SSL_set_fd(void *ssl, int fd);
int SSL_connect(void *ssl);
int SSL_read(void *ssl, void *octets, int length);
int SSL_write(void *ssl, const void *octets, int length);
int SSL_shutdown(void *ssl);
void *SSL_get1_peer_certificate(const void *ssl);
int X509_digest(const void *certificate, const void *type, unsigned char *digest, unsigned *length);
const void *EVP_sha256(void);
void X509_free(void *certificate);
void ERR_print_errors_fp(FILE *to);

int SSL_get_ex_data_X509_STORE_CTX_idx(void);
void SSL_CTX_set_info_callback(void *context, void (*callback)(const void *ssl, int where, int value));
void *X509_STORE_CTX_get_ex_data(const void *store, int index);
void *X509_STORE_CTX_get_current_cert(const void *store);
int X509_STORE_CTX_get_error_depth(const void *store);
void X509_STORE_CTX_set_error(void *store, int error);
const char *SSL_get_servername(const void *ssl, int type);
long SSL_get_verify_result(const void *ssl);
void SSL_set_verify_result(void *ssl, long result);
int SSL_pending(const void *ssl);
int SSL_get_error(const void *ssl, int result);
void *SSL_get_SSL_CTX(const void *ssl);

static _Thread_local void *context;

/* After the handshake it is for another server that the function is called. */
static int again(int good, void *store)
{
    void *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    calls++;
    elsewhere += ssl != own || !pthread_equal(pthread_self(), thread);
    if (!strcmp(does, "jump")) {
        siglongjmp(away, 1);
    }
    if (!strcmp(does, "look")) {
        SSL_set_verify_result(ssl, 42);
        SSL_pending(ssl);
        SSL_get_error(ssl, -1);
        return good && !strcmp(SSL_get_servername(ssl, 0), "files.example") && SSL_get_SSL_CTX(ssl) == context;
    }
    return strcmp(does, "no") ? good : 0;
}

static int verify(int good, void *store)
{
    if (!strcmp(does, "pin")) {
        unsigned char digest[64];
        unsigned length;
        X509_digest(X509_STORE_CTX_get_current_cert(store), EVP_sha256(), digest, &length);
    }
    if (!strcmp(does, "yes")) {
        X509_STORE_CTX_set_error(store, 0);
        good = 1;
    }
    return own && !X509_STORE_CTX_get_error_depth(store) ? again(good, store) : good;
}

static int verify_all(void *store, void *argument)
{
    int good = X509_verify_cert(store);
    if (argument != context) {
        fail("another argument");
    }
    if (!strcmp(does, "yes")) {
        X509_STORE_CTX_set_error(store, 0);
        good = 1;
    }
    return own ? again(good, store) : good;
}

/* SSL_CTX_set_info_callback(3): the request follows the handshake, within the library's call. */
static void told(const void *ssl, int where, int value)
{
    (void)value;
    if (where & 0x20 && !asked) { /* SSL_CB_HANDSHAKE_DONE */
        char text[1024];
        int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", arguments[4], arguments[2]);
        asked = 1;
        if (SSL_write((void *)ssl, text, n) != n) {
            fail("the request is not taken within the handshake");
        }
    }
}

static void *begin(int fd, const char *ca, const char *host, char **settings)
{
    const char *value;
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        fail("OpenSSL makes no context");
    }
    if (setting(settings, "callback")) {
        does = setting(settings, "callback");
        SSL_CTX_set_verify(context, 1, verify);
    } else {
        SSL_CTX_set_verify(context, !setting(settings, "trusting"), NULL);
    }
    if (setting(settings, "verifier")) {
        does = setting(settings, "verifier");
        SSL_CTX_set_cert_verify_callback(context, verify_all, context);
    }
    if ((value = setting(settings, "depth"))) {
        SSL_CTX_set_verify_depth(context, atoi(value));
    }
    if ((value = setting(settings, "groups")) && SSL_CTX_ctrl(context, 92, 0, (void *)value) != 1) {
        fail("groups");
    }
    if ((value = setting(settings, "signatures")) && SSL_CTX_ctrl(context, 98, 0, (void *)value) != 1) {
        fail("signatures");
    }
    if (setting(settings, "inside")) {
        SSL_CTX_set_info_callback(context, told);
    }
    void *ssl = SSL_new(context);
    if ((value = setting(settings, "own-groups")) && SSL_ctrl(ssl, 92, 0, (void *)value) != 1) {
        fail("groups");
    }
    if (!ssl || SSL_ctrl(ssl, 55, 0, (void *)host) != 1 || SSL_set1_host(ssl, host) != 1 || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    if (setting(settings, "digest")) {
        unsigned char digest[64];
        unsigned length;
        void *certificate = SSL_get1_peer_certificate(ssl);
        X509_digest(certificate, EVP_sha256(), digest, &length);
        X509_free(certificate);
    }
    if (setting(settings, "epoll")) {
        struct epoll_event event = { .events = EPOLLIN };
        waiting = epoll_create1(EPOLL_CLOEXEC);
        if (waiting < 0 || epoll_ctl(waiting, EPOLL_CTL_ADD, fd, &event) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
            die("epoll");
        }
    }
    return ssl;
}

static ssize_t put(void *ssl, const void *octets, size_t length)
{
    return SSL_write(ssl, octets, (int)length);
}

static ssize_t get(void *ssl, void *octets, size_t length)
{
    for (;;) {
        int n = SSL_read(ssl, octets, (int)length);
        if (n > 0 || waiting < 0 || SSL_get_error(ssl, n) != 2) { /* SSL_ERROR_WANT_READ */
            return n;
        }
        struct epoll_event event;
        epoll_wait(waiting, &event, 1, -1);
    }
}

static void bye(void *ssl)
{
    SSL_shutdown(ssl);
}

static void end(void *ssl)
{
    bye(ssl);
    if (does && SSL_get_verify_result(ssl)) {
        printf("the session's verification is another one\n");
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
}

#endif

static char *expected;
static long long expected_length;
static atomic_int over, downloads;

/* One request on a session, and the head of its answer. Returns how much content has come with it, which lies at *content. */
static size_t request(void *session, char *buffer, size_t room, char **content, long long *length)
{
    const char *field = setting(arguments + 6, "field");
    int n = snprintf(buffer, room, "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", arguments[4], arguments[2], field ? field : "",
                     field ? "\r\n" : "");
    if (!asked && put(session, buffer, (size_t)n) != n) {
        fail("the request is not taken");
    }
    size_t have = 0;
    char *end = NULL;
    while (!end) {
        ssize_t got = get(session, buffer + have, room - 1 - have);
        if (got <= 0) {
            fail("no answer");
        }
        have += (size_t)got;
        buffer[have] = 0;
        end = strstr(buffer, "\r\n\r\n");
    }
    char *announced = strcasestr(buffer, "\r\nContent-Length:");
    if (!announced || announced > end) {
        fail("no length");
    }
    *length = atoll(announced + 17);
    *content = end + 4;
    return have - (size_t)(*content - buffer);
}

static int64_t seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* One response, in whatever framing. True: the connection can be used again. */
static int compare_response(void *session)
{
    static _Thread_local char buffer[16384];
    static _Thread_local struct message m;
    int64_t heard = seconds();
    m = (struct message){ .phase = HEAD };
    while (m.phase != COMPLETE) {
        ssize_t got = get(session, buffer, 1 + (size_t)rand() % sizeof buffer);
        if (seconds() - heard > 3) {
            fprintf(stderr, "nothing for %lld s after %lld octets, in phase %d\n", (long long)(seconds() - heard), (long long)m.content, m.phase);
        }
        heard = seconds();
        if (!got && m.phase == BY_CLOSE && m.content == expected_length) {
            break;
        }
        if (got <= 0) {
            fprintf(stderr, "it broke off after %lld octets, in phase %d, with %zd\n", (long long)m.content, m.phase, got);
            exit(1);
        }
        const char *at = buffer, *end = buffer + got;
        while (at < end) {
            ssize_t n = take_message(&m, &at, end);
            if (n < 0 || (m.phase == COMPLETE && at < end)) {
                fail("a malformed response");
            }
            if (m.content > expected_length || memcmp(at - n, expected + m.content - n, (size_t)n)) {
                fail("other octets");
            }
        }
    }
    if (m.status != 200 || m.content != expected_length) {
        fail("another length");
    }
    atomic_fetch_add(&downloads, 1);
    return m.phase == COMPLETE && !m.closes;
}

static void *churn(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        struct addrinfo *list = look_up(arguments[2], arguments[3]);
        int fd = dial(list, 0);
        freeaddrinfo(list);
        if (fd < 0) {
            die("connect");
        }
        void *session = begin(fd, arguments[1], arguments[2], arguments + 6);
        char question[1024];
        int n = snprintf(question, sizeof question, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", arguments[4], arguments[2]);
        for (int i = 0; i < 6 && !atomic_load(&over); i++) {
            if (put(session, question, (size_t)n) != n) {
                fail("the request is not taken");
            }
            if (!compare_response(session)) {
                break;
            }
        }
        end(session);
        close(fd);
    }
    return NULL;
}

static int churn_all(int count)
{
    pthread_t threads[64];
    char octet;
    FILE *file = fopen(arguments[5], "r");
    if (!file || fseek(file, 0, SEEK_END) || (expected_length = ftell(file)) <= 0) {
        die(arguments[5]);
    }
    rewind(file);
    expected = malloc((size_t)expected_length);
    if (!expected || fread(expected, 1, (size_t)expected_length, file) != (size_t)expected_length) {
        die(arguments[5]);
    }
    fclose(file);
    count = count < 64 ? count : 64;
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, churn, NULL)) {
            fail("no thread");
        }
    }
    while (read(0, &octet, 1) > 0) {
    }
    atomic_store(&over, 1);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    free(expected);
    printf("%d downloads\n", atomic_load(&downloads));
    return 0;
}

/* get(), again where the program's own function has left it. */
static __attribute__((noinline)) ssize_t get_anew(void *session, void *octets, size_t length)
{
    sigsetjmp(away, 1);
    return get(session, octets, length);
}

int main(int argc, char **argv)
{
    static char buffer[16384];
    if (argc < 6) {
        fail("tlsfetch CA HOST PORT PATH OUT [SETTING[=VALUE]…]");
    }
    arguments = argv;
    const char *churners = setting(argv + 6, "churn");
    if (churners) {
        return churn_all(atoi(churners));
    }
    struct addrinfo *list = look_up(argv[2], argv[3]);
    int fd = dial(list, 0);
    freeaddrinfo(list);
    if (fd < 0) {
        die("connect");
    }
    void *session = begin(fd, argv[1], argv[2], argv + 6);
    thread = pthread_self();
    own = session;
    char *rest;
    long long left;
    size_t n = request(session, buffer, sizeof buffer, &rest, &left);
    FILE *out = fopen(argv[5], "w");
    if (!out) {
        die(argv[5]);
    }
    memmove(buffer, rest, n);
    if (setting(argv + 6, "bye")) {
        bye(session);
    }
    while (left > 0) {
        if (fwrite(buffer, 1, n, out) != n || fflush(out)) {
            die("write");
        }
        left -= (long long)n;
        if (setting(argv + 6, "wait")) {
            char octet;
            while (read(0, &octet, 1) > 0) {
            }
        }
        if (left > 0) {
            ssize_t got = get_anew(session, buffer, sizeof buffer);
            if (got <= 0) {
                fail("it broke off");
            }
            n = (size_t)got;
        }
    }
    fclose(out);
    end(session);
    close(fd);
    if (does) {
        printf("%d calls, %d elsewhere\n", calls, elsewhere);
    }
    return 0;
}
