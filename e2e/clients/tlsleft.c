/*
 * tlsleft.c: leaves a read of a TLS session for good, and then downloads on the same thread, without TLS and deeper in the stack.
 *
 *     tlsleft WAY HOST PATH COPY
 *
 * WAY is "jump" for a handler that leaves SSL_read() by siglongjmp(), "unwind" for a callback that does so as an exception would,
 * and "switch" for a callback that changes to another stack, as coroutines do; that read is gone on with when the download has
 * come to its end. Prints "left" when half of the download has come, waits for a line on standard input, and reads the rest. Every
 * octet is compared with the copy, of that download and of the session's.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unwind.h>

void *SSL_CTX_new(const void *method);
const void *TLS_client_method(void);
void *SSL_new(void *context);
long SSL_ctrl(void *ssl, int command, long value, void *pointer);
int SSL_connect(void *ssl);
int SSL_read(void *ssl, void *buffer, int length);
int SSL_write(void *ssl, const void *octets, int length);
void SSL_set_bio(void *ssl, void *in, void *out);
void SSL_free(void *ssl);
void *BIO_meth_new(int type, const char *name);
int BIO_meth_set_read(void *method, int (*read)(void *, char *, int));
int BIO_meth_set_write(void *method, int (*write)(void *, const char *, int));
int BIO_meth_set_ctrl(void *method, long (*ctrl)(void *, int, long, void *));
void *BIO_new(const void *method);
void BIO_set_init(void *bio, int init);

enum { JUMP, UNWIND, SWITCH } way;
static const char *host, *path;
static int tls_fd;
static void *session;
static bool leaves;
static sigjmp_buf back;
static ucontext_t outer, inner;
static char stack[256 * 1024];
static int64_t came;

static void jump(int unused)
{
    (void)unused;
    siglongjmp(back, 1);
}

static _Unwind_Reason_Code stop(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                struct _Unwind_Exception *exception, struct _Unwind_Context *context, void *target)
{
    (void)version, (void)actions, (void)class, (void)exception;
    if (_Unwind_GetCFA(context) > (uintptr_t)target)
        siglongjmp(back, 1);
    return _URC_NO_REASON;
}

static void *where; /* the frame that an exception is caught in */

static int bio_read(void *bio, char *octets, int length)
{
    static struct _Unwind_Exception exception;
    (void)bio;
    if (leaves) {
        leaves = false;
        if (way == UNWIND)
            _Unwind_ForcedUnwind(&exception, stop, where);
        if (way == SWITCH)
            swapcontext(&inner, &outer);
    }
    return (int)recv(tls_fd, octets, (size_t)length, 0);
}

static int bio_write(void *bio, const char *octets, int length)
{
    (void)bio;
    return (int)send(tls_fd, octets, (size_t)length, MSG_NOSIGNAL);
}

static long bio_ctrl(void *bio, int command, long value, void *pointer)
{
    (void)bio, (void)value, (void)pointer;
    return command == 11; /* BIO_CTRL_FLUSH */
}

/* Content is as the copy has it from there on. */
static int64_t compare(struct response *response, const char *octets, ssize_t n, int64_t at)
{
    ssize_t content = n > 0 ? take(response, octets, (size_t)n) : -1;
    if (content < 0 || memcmp(octets + n - content, copy + at, (size_t)content))
        die(n > 0 ? "other octets" : "read");
    return at + content;
}

static void read_session(int64_t until)
{
    static struct response response;
    char octets[4000];
    while (came < until) {
        int n = SSL_read(session, octets, sizeof octets);
        came = compare(&response, octets, n, came);
    }
}

static void coroutine(void)
{
    read_session(size);
}

static __attribute__((noinline)) void leave(int depth)
{
    volatile char room[300];
    room[0] = (char)depth;
    if (depth) {
        leave(depth - 1);
    } else if (way == SWITCH) {
        getcontext(&inner);
        inner.uc_stack.ss_sp = stack;
        inner.uc_stack.ss_size = sizeof stack;
        inner.uc_link = &outer;
        makecontext(&inner, coroutine, 0);
        leaves = true;
        swapcontext(&outer, &inner);
    } else {
        where = __builtin_frame_address(0);
        if (!sigsetjmp(back, 1)) {
            if (way == JUMP)
                setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = 100000 }, NULL);
            leaves = way == UNWIND;
            read_session(INT64_MAX);
        }
    }
    if (room[0] != depth)
        die("the stack");
}

/* The download without TLS, in frames with holes: nothing of what lay there is overwritten by chance. */
static __attribute__((noinline)) void download(int depth)
{
    volatile char room[300];
    room[0] = (char)depth;
    if (depth) {
        download(depth - 1);
    } else {
        static struct response response;
        static char octets[1 << 16];
        int fd = dial(look_up(host, "80"), 0);
        if (fd < 0)
            die("connect");
        ask(fd, host, path);
        bool told = false;
        for (int64_t at = 0; at < size;) {
            if (!told && at > size / 2) {
                told = true;
                puts("left");
                fflush(stdout);
                await_input();
            }
            at = compare(&response, octets, recv(fd, octets, sizeof octets, 0), at);
        }
        close(fd);
    }
    if (room[0] != depth)
        die("the stack");
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    way = !strcmp(argv[1], "jump") ? JUMP : !strcmp(argv[1], "unwind") ? UNWIND : SWITCH;
    host = argv[2];
    path = argv[3];
    load_copy(argv[4]);
    signal(SIGALRM, jump);
    void *method = BIO_meth_new(128 | 1024, "of the program");
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    void *bio = BIO_new(method);
    BIO_set_init(bio, 1);
    session = SSL_new(SSL_CTX_new(TLS_client_method()));
    SSL_set_bio(session, bio, bio);
    SSL_ctrl(session, 55, 0, (void *)host); /* SSL_CTRL_SET_TLSEXT_HOSTNAME */
    tls_fd = dial(look_up(host, "443"), 0);
    if (tls_fd < 0 || SSL_connect(session) != 1)
        die("TLS");
    char request[1000];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    if (SSL_write(session, request, length) != length)
        die("SSL_write");
    read_session(1);
    leave(2);
    download(20);
    if (way == SWITCH) {
        swapcontext(&outer, &inner);
        if (came != size)
            die("the rest over TLS");
    }
    SSL_free(session);
    close(tls_fd);
    puts("all");
    return 0;
}
