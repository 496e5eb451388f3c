/*
 * left: a download whose blocked reads are left for good, and gone on with afterwards.
 *
 *     left WAY OCTETS COPY HOST PORT PATH
 *
 * Reads the response up to so many octets of content, then leaves reads that wait in vain: WAY is "jump" for a handler
 * that leaves them by siglongjmp, "poll" for the same and a wait in poll() afterwards, "peek" for the same with MSG_PEEK,
 * "cancel" for threads that are cancelled in them. Then prints "left", waits for a line on standard input, and reads the
 * rest. All of it is compared with a local copy.
 */
#define _GNU_SOURCE
#include "http.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

static int fd, flags;
static sigjmp_buf back;
static char buffer[65536];

static void jump(int unused)
{
    (void)unused;
    siglongjmp(back, 1);
}

static void *block(void *unused)
{
    static _Thread_local char own[4096];
    (void)unused;
    if (recv(fd, own, sizeof own, flags) >= 0)
        fprintf(stderr, "the server was not silent\n");
    return NULL;
}

static void leave_by_jump(void)
{
    if (!sigsetjmp(back, 1)) {
        struct itimerval once = { { 0, 0 }, { 0, 60000 } };
        setitimer(ITIMER_REAL, &once, NULL);
        block(NULL);
    }
}

static void leave_by_cancelling(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, block, NULL);
    usleep(60000);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}

static void receive(struct response *r, const char *copy, int64_t size, int64_t most)
{
    while (!r->complete_head || (r->left && size - r->left < most)) {
        int64_t room = r->complete_head ? most - (size - r->left) : 1;
        ssize_t n = recv(fd, buffer, room < (int64_t)sizeof buffer ? (size_t)room : sizeof buffer, 0);
        if (n <= 0) {
            fprintf(stderr, "%s\n", n ? strerror(errno) : "early end");
            exit(1);
        }
        ssize_t content = take(r, buffer, (size_t)n);
        if (content < 0 || memcmp(copy + size - r->left - content, buffer + n - content, (size_t)content)) {
            fprintf(stderr, "wrong octet\n");
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: left WAY OCTETS COPY HOST PORT PATH\n");
        return 2;
    }
    int file = open(argv[3], O_RDONLY | O_CLOEXEC);
    struct stat s;
    if (file < 0 || fstat(file, &s))
        die(argv[3]);
    char *copy = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    fd = dial(look_up(argv[4], argv[5]), 0);
    if (fd < 0)
        die("connect");
    struct response r = { .have = 0 };
    ask(fd, argv[4], argv[6]);
    receive(&r, copy, s.st_size, atoll(argv[2]));
    signal(SIGALRM, jump);
    flags = strcmp(argv[1], "peek") ? 0 : MSG_PEEK;
    for (volatile int i = 0; i < 3; i++) {
        if (strcmp(argv[1], "cancel"))
            leave_by_jump();
        else
            leave_by_cancelling();
    }
    printf("left\n");
    fflush(stdout);
    struct pollfd both[2] = { { .fd = 0, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    while (!strcmp(argv[1], "poll") && !both[0].revents)
        poll(both, 2, -1);
    if (read(0, buffer, 1) != 1)
        return 1;
    receive(&r, copy, s.st_size, s.st_size);
    printf("complete\n");
    return 0;
}
