/* The main thread ends in every way that leaves other threads alone, with and without any, before or after the first GET. */
#include "observe.h"

#include <threads.h>

enum { ALONE, WITH_ONE_MORE, WITH_ONE_THAT_GETS, WAYS_TO_BE };
static const char *const ways[] = {"pthread_exit", "thrd_exit", "cancel", "cancel itself", "SYS_exit", "inline SYS_exit"};
enum { BY_PTHREAD_EXIT, BY_THRD_EXIT, BY_CANCEL, BY_CANCELLING_ITSELF, BY_SYSCALL, BY_INLINE_SYSCALL, WAYS };

static pthread_t first;
static volatile int cleaned;

static void handler(void) { say("handler\n"); }

static void cleanup(void *unused)
{
    (void)unused;
    sleep_ms(30); /* it has not left yet */
    say("cleanup\n");
    cleaned = 1;
}

/* A main thread that ends by the bare system call cleans nothing up. */
static void await_end(int way)
{
    while (!cleaned && way < BY_SYSCALL)
        sleep_ms(1);
    sleep_ms(40);
}

static void *one_more(void *way)
{
    await_end(*(int *)way);
    say("the other ends\n");
    return NULL;
}

static void *one_that_gets(void *way)
{
    await_end(*(int *)way);
    fetch("/slow/20000");
    return NULL;
}

static void *canceller(void *unused)
{
    (void)unused;
    sleep_ms(10);
    pthread_cancel(first);
    return NULL;
}

static void start(void *(*function)(void *), int *way)
{
    pthread_t thread;
    pthread_create(&thread, NULL, function, way);
    pthread_detach(thread);
}

static void end_by(int way)
{
    pthread_cleanup_push(cleanup, NULL);
    switch (way) {
    case BY_PTHREAD_EXIT:
        pthread_exit(NULL);
    case BY_THRD_EXIT:
        thrd_exit(7);
    case BY_CANCEL:
        start(canceller, &way);
        for (;;)
            pause();
    case BY_CANCELLING_ITSELF:
        pthread_cancel(pthread_self());
        for (;;)
            pause();
    case BY_SYSCALL:
        syscall(SYS_exit, 5);
        break;
    case BY_INLINE_SYSCALL:
#ifdef __x86_64__
        __asm__ volatile("syscall" : : "a"((long)SYS_exit), "D"(6L) : "rcx", "r11", "memory");
#else
        syscall(SYS_exit, 6);
#endif
    }
    pthread_cleanup_pop(0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    static int own_way; /* its stack goes with it */
    for (int way = 0; way < WAYS; way++) {
        own_way = way;
        for (int with = 0; with < WAYS_TO_BE; with++) {
            say("%s, %d: ", ways[way], with);
            pid_t pid = fork();
            if (pid == 0) {
                first = pthread_self();
                atexit(handler);
                if (with != WITH_ONE_THAT_GETS)
                    fetch("/fixed/1000");
                if (with != ALONE)
                    start(with == WITH_ONE_MORE ? one_more : one_that_gets, &own_way);
                end_by(way);
                _exit(99);
            }
            wait_for(pid);
        }
    }
    return 0;
}
