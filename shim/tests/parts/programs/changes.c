/*
 * changes.c: two threads change the membership of one descriptor in an epoll set; the second does so when the kernel has heard the
 * first, which has not returned yet. Exit status 0: what is remembered (shim/wait/epoll.c) is what the kernel heard last.
 */
#include "epoll.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t heard, returned;
static struct epoll_event last;
static _Thread_local bool first;

NOT_CALLED(attempt_shown)
NOT_CALLED(ending_met_in_wait)

/* The kernel: the first call is slow to return, but not for ever. */
static int hear(int epfd, int operation, int fd, struct epoll_event *event)
{
    (void)epfd, (void)operation, (void)fd;
    last = *event;
    if (first) {
        struct timespec until;
        sem_post(&heard);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 10000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        sem_timedwait(&returned, &until);
    }
    return 0;
}

static void *change_second(void *unused)
{
    sem_wait(&heard);
    epoll_ctl(3, EPOLL_CTL_MOD, 5, &(struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT });
    sem_post(&returned);
    return unused;
}

int main(void)
{
    pthread_t second;
    sem_init(&heard, 0, 0);
    sem_init(&returned, 0, 0);
    atomic_store(&calls_real[CALL_epoll_ctl], (void *)hear);
    atomic_store(&stream_table[5], &stream);
    stream.fd = 5;
    stream.memberships.list[0].epfd = 3;
    for (int i = 1; i < STREAM_EPOLLS; i++) {
        stream.memberships.list[i].epfd = -1;
    }
    if (pthread_create(&second, NULL, change_second, NULL)) {
        return 2;
    }
    first = true;
    epoll_ctl(3, EPOLL_CTL_MOD, 5, &(struct epoll_event){ .events = EPOLLOUT | EPOLLONESHOT });
    pthread_join(second, NULL);
    if (stream.memberships.list[0].event.events != last.events) {
        fprintf(stderr, "%#x is remembered, the kernel has %#x\n", stream.memberships.list[0].event.events, last.events);
        return 1;
    }
    return 0;
}
