/*
 * read.c: has the shim's readers of files, of netlink and of DNS read what comes on standard input, and says on standard
 * output what they made of it, for the test in the folder above.
 *
 * A question: u8 kind; u32 seed (read.h); u32 length of the name, u32 octets; the name; the octets. Its answer is a line.
 * The readers stand in files of their own, each with the file of shim/ that it tries. What these call besides is not linked.
 */
#include "read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "process/calls.h"
#include "process/fork.h"
#include "process/load.h"

struct input input;

/* What the readers themselves need of other files. */
struct ms_shared shared;

bool fork_same_process(void)
{
    return true;
}

static size_t piece(size_t asked)
{
    size_t n = input.count - input.at;
    n = n < asked ? n : asked;
    if (n && input.seed) {
        input.seed = input.seed * 1103515245 + 12345;
        size_t limit = 1 + (input.seed >> 16) % (input.seed >> 28 ? 7 : 300);
        n = n < limit ? n : limit;
    }
    return n;
}

static ssize_t give(int fd, void *buffer, size_t length)
{
    (void)fd;
    size_t n = piece(length);
    memcpy(buffer, input.octets + input.at, n);
    input.at += n;
    return (ssize_t)n;
}

/* A datagram: it comes whole or is cut off, and what lies behind it in the buffer must not matter. */
static ssize_t give_datagram(int fd, void *buffer, size_t length, int flags)
{
    (void)fd, (void)flags;
    size_t n = input.count < length ? input.count : length;
    memset(buffer, input.seed ? 0xff : 0, length);
    memcpy(buffer, input.octets, n);
    return (ssize_t)n;
}

static ssize_t take_question(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    (void)fd, (void)buffer, (void)flags, (void)to, (void)to_length;
    return (ssize_t)length;
}

static long call(long number, ...)
{
    va_list list;
    va_start(list, number);
    long arguments[4];
    for (int i = 0; i < 4; i++) {
        arguments[i] = va_arg(list, long);
    }
    va_end(list);
    switch (number) {
    case SYS_readlinkat: {
        size_t size = (size_t)arguments[3], n = input.count < size ? input.count : size;
        memcpy((char *)arguments[2], input.octets, n);
        return (long)n;
    }
    case SYS_openat:
        input.at = 0;
        return *input.name == '/' ? syscall(number, arguments[0], arguments[1], arguments[2], 0) : 1000;
    case SYS_gettid:
        return 1;
    }
    return 0;
}

static bool take(void *into, size_t count)
{
    return fread(into, 1, count, stdin) == count;
}

int main(void)
{
    uint8_t kind;
    uint32_t seed, name_length, count;
    atomic_store(&calls_real[CALL_read], (void *)give);
    atomic_store(&calls_real[CALL_recv], (void *)give_datagram);
    atomic_store(&calls_real[CALL_sendto], (void *)take_question);
    atomic_store(&calls_real[CALL_syscall], (void *)call);
    while (take(&kind, 1) && take(&seed, 4) && take(&name_length, 4) && take(&count, 4)) {
        /* In memory of their own, so that whoever checks memory sees a read beyond them. */
        char *name = malloc(name_length + 1);
        uint8_t *octets = malloc(count ? count : 1);
        if (!name || !octets || !take(name, name_length) || !take(octets, count)) {
            return 1;
        }
        name[name_length] = 0;
        input = (struct input){ octets, count, 0, seed, name };
        switch (kind) {
        case 'd': read_fallback(kind); break;
        case 'n': case 'l': case 'v': read_route(kind); break;
        case 'c': case 'o': read_settings(kind); break;
        case 'u': read_use(); break;
        case 'e': read_epoll(); break;
        case 's': read_caller(); break;
        case 'x': read_resolve(); break;
        case 't': read_recognise(); break;
        case 'h': read_client_hello(); break;
        case 'i': read_instructions(); break;
        }
        free(octets);
        free(name);
        putchar('\n');
        fflush(stdout);
    }
    return 0;
}
