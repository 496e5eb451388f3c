/* A thread blocked in recv is cancelled; another goes on reading the socket. */
#include "observe.h"

static int fd;
static volatile int about_to_block;

static void cleanup(void *unused)
{
    (void)unused;
    say("cleanup ran\n");
}

static void *reader(void *unused)
{
    (void)unused;
    char buffer[100];
    pthread_cleanup_push(cleanup, NULL);
    about_to_block = 1;
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    say("recv returned %zd\n", n);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *other(void *unused)
{
    (void)unused;
    body(fd, 10000);
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fd = dial();
    ask(fd, "/later/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, reader, NULL);
    while (!about_to_block)
        sched_yield();
    sleep_ms(30);
    int error = pthread_cancel(thread);
    CALL(pthread_join(thread, &result));
    say("pthread_cancel %d\n", error);
    say("cancelled %d\n", result == PTHREAD_CANCELED);
    pthread_create(&thread, NULL, other, NULL);
    pthread_join(thread, NULL);
    get(fd, "/fixed/10");
    CALL(close(fd));
    return 0;
}
