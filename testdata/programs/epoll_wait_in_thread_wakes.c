/* epoll_wait blocked in a thread wakes when another thread sends the request. */
#include "observe.h"

static int queue;

static void *waiter(void *unused)
{
    (void)unused;
    struct epoll_event got[4] = {0};
    CALL(epoll_wait(queue, got, 4, 10000));
    say("events %x data %u\n", got[0].events, got[0].data.u32);
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    queue = epoll_create1(0);
    int fd = dial();
    pthread_t thread;
    pthread_create(&thread, NULL, waiter, NULL);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 3};
    sleep_ms(20);
    epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
    char request[400];
    send_all(fd, request, compose(request, "/fixed/3000"));
    pthread_join(thread, NULL);
    settle();
    body(fd, head(fd));
    return 0;
}
