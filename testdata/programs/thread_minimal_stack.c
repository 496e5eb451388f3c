/* A thread with the smallest stack (PTHREAD_STACK_MIN) does the process's first GET. */
#include "observe.h"

static void *worker(void *unused)
{
    (void)unused;
    int fd = dial();
    return (void *)(uintptr_t)quiet_get(fd, "/fixed/3000");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    pthread_attr_t small;
    pthread_attr_init(&small);
    CALL(pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN));
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *sum;
        CALL(pthread_create(&thread, &small, worker, NULL));
        pthread_join(thread, &sum);
        say("sum %08x\n", (unsigned)(uintptr_t)sum);
    }
    return 0;
}
