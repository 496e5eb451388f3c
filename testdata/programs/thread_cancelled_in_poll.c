/* A thread blocked in poll on a tracked socket is cancelled; the download goes on. */
#include "observe.h"

static int fd;

static void *waiter(void *unused)
{
    (void)unused;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 15000);
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
    pthread_create(&thread, NULL, waiter, NULL);
    sleep_ms(30);
    CALL(pthread_cancel(thread));
    CALL(pthread_join(thread, &result));
    say("cancelled %d\n", result == PTHREAD_CANCELED);
    body(fd, 10000);
    return 0;
}
