/*
 * sessions.h: what the programs have in common that walk through every interposed function of a TLS library, on sessions that are none
 * of Midstream's: servers, clients over memory, over a UNIX socket, DTLS. They print what each call came to, and what it has done.
 *
 * The functions are those of shim/tls/tls.def. C(name)(...) calls one: as it was linked or, with -DLOOKED_UP, as dlsym(3) gives
 * it of a library that nobody else sees. At the end those of `prefixes` that were never called are named.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALL(result, name, parameters) extern __attribute__((weak)) result name parameters;
#include "tls/tls.def"
#undef CALL

#define CALL(result, name, parameters) typedef result name##_function parameters;
#include "tls/tls.def"
#undef CALL

#define CALL(result, name, parameters) N_##name,
enum {
#include "tls/tls.def"
    CALLS
};
#undef CALL

#define CALL(result, name, parameters) { #name, (void *)name, false },
static struct {
    const char *name;
    void *function;
    bool called;
} calls[] = {
#include "tls/tls.def"
};
#undef CALL

static void *call(int number)
{
    calls[number].called = true;
    return calls[number].function;
}

#define C(name) ((name##_function *)call(N_##name))

static void *look(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (!function) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    return function;
}

/* Opens the library; its other functions are looked up there. */
static void *open_library(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
#ifdef LOOKED_UP
    for (int i = 0; i < CALLS; i++) {
        calls[i].function = dlsym(library, calls[i].name);
    }
#endif
    return library;
}

static char where[100];
static const char *who = "";

static void say(const char *format, ...)
{
    va_list list;
    printf("%s %s: ", where, who);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\n");
}

/* Says what a call came to, and what it has left in errno, which is set before. */
#define SAY(name, ...)                                               \
    do {                                                             \
        errno = EXDEV;                                               \
        long result_ = (long)C(name)(__VA_ARGS__);                   \
        int error_ = errno;                                          \
        say(#name " = %ld%s", result_, error_ == EXDEV ? "" : ", errno"); \
    } while (0)

static int missed(const char *const *prefixes)
{
    int count = 0;
    for (int i = 0; i < CALLS; i++) {
        for (const char *const *p = prefixes; *p && !calls[i].called; p++) {
            if (!strncmp(calls[i].name, *p, strlen(*p))) {
                fprintf(stderr, "%s was not called\n", calls[i].name);
                count++;
            }
        }
    }
    return count;
}

/* Where the two ends of a session lie. */
enum transport { TCP, REVERSED, UNIX, MEMORY, DATAGRAMS, TRANSPORTS };

static int connected[2];

/* Both ends of a connection, the client's first. Of a reversed one, the TLS client is the end that was accepted. */
static void connect_ends(enum transport transport, int fds[2])
{
    fds[0] = fds[1] = -1;
    if (transport == UNIX || transport == DATAGRAMS) {
        socketpair(AF_UNIX, transport == UNIX ? SOCK_STREAM : SOCK_DGRAM, 0, fds);
    } else if (transport == TCP || transport == REVERSED) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1)
            || getsockname(listener, (struct sockaddr *)&address, &length) || connect(fd, (struct sockaddr *)&address, length)) {
            perror("connect");
            exit(2);
        }
        fds[transport == REVERSED] = fd;
        fds[transport == TCP] = accept(listener, NULL, NULL);
        close(listener);
    }
    for (int i = 0; i < 2 && fds[i] >= 0; i++) {
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        connected[i] = fds[i];
    }
}

/* Until the other end has what has been sent: only TCP takes a while. */
__attribute__((unused)) static void wait_for(int sender)
{
    int domain = 0, left = 1;
    socklen_t length = sizeof domain;
    if (sender < 0 || getsockopt(sender, SOL_SOCKET, SO_DOMAIN, &domain, &length) || domain != AF_INET) {
        return;
    }
    for (int tries = 0; tries < 2000 && !ioctl(sender, SIOCOUTQ, &left) && left; tries++) {
        /* The other end is not to wait with its acknowledgement. */
        for (int i = 0, on = 1; i < 2; i++) {
            setsockopt(connected[i], IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
        }
        usleep(tries ? 1000 : 0);
    }
}
