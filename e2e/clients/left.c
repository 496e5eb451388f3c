/*
 * left: a download whose blocked reads are left for good, and gone on with afterwards.
 *
 *     left WAY OCTETS COPY HOST PORT PATH
 *
 * Reads the response up to so many octets of content, then leaves reads that wait in vain: WAY is "jump" for a handler
 * that leaves them by siglongjmp, "poll" for the same and a wait in poll() afterwards, "peek" for the same with MSG_PEEK,
 * "cancel" for threads that are cancelled in them; "interrupt" is for reads that a handler ends (EINTR) as soon as they
 * wait, in a program that reads little at a time, "mixed" for the same where another handler would not end them (SA_RESTART).
 * Then prints "left", waits for a line on standard input, and reads the rest. All of it is compared with a local copy.
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

static int fd, flags, mixed;
static volatile int signals, ended;
static sigjmp_buf back;
static char buffer[65536];

static void jump(int unused)
{
    (void)unused;
    siglongjmp(back, 1);
}

static void count(int unused)
{
    (void)unused;
    signals++;
}

/* Sends a signal once the main thread sleeps in its read; and more of them, if that has not ended it. */
static void *interrupt(void *thread)
{
    char path[64], state = 'R';
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
    while (state != 'S') {
        FILE *stat = fopen(path, "re");
        if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
            die(path);
        fclose(stat);
    }
    while (!ended) {
        pthread_kill(*(pthread_t *)thread, SIGALRM);
        usleep(500000);
    }
    return NULL;
}

static void be_interrupted(void)
{
    struct sigaction action = { .sa_handler = count }, restarting = { .sa_handler = count, .sa_flags = SA_RESTART };
    pthread_t own = pthread_self(), other;
    if (mixed)
        sigaction(SIGUSR1, &restarting, NULL);
    sigaction(SIGALRM, &action, NULL);
    signals = ended = 0;
    pthread_create(&other, NULL, interrupt, &own);
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    ended = 1;
    if (n >= 0 || errno != EINTR || signals != 1) {
        fprintf(stderr, "%zd, %s, after %d signals\n", n, strerror(errno), signals);
        exit(1);
    }
    pthread_join(other, NULL);
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

static void receive(struct response *r, const char *copy, int64_t size, int64_t most, size_t at_once)
{
    while (!r->complete_head || (r->left && size - r->left < most)) {
        int64_t room = r->complete_head ? most - (size - r->left) : 1;
        ssize_t n = recv(fd, buffer, room < (int64_t)at_once ? (size_t)room : at_once, 0);
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
    mixed = !strcmp(argv[1], "mixed");
    int interrupts = mixed || !strcmp(argv[1], "interrupt");
    size_t at_once = interrupts ? 4096 : sizeof buffer;
    receive(&r, copy, s.st_size, atoll(argv[2]), at_once);
    signal(SIGALRM, jump);
    flags = strcmp(argv[1], "peek") ? 0 : MSG_PEEK;
    for (volatile int i = 0; i < 3; i++) {
        if (interrupts)
            be_interrupted();
        else if (strcmp(argv[1], "cancel"))
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
    receive(&r, copy, s.st_size, s.st_size, at_once);
    printf("complete\n");
    return 0;
}
