/* The process ends with its last thread's pthread_exit, status 0, after a GET. */
#include "observe.h"

static void *worker(void *unused)
{
    (void)unused;
    fetch("/fixed/2000");
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    pthread_exit(NULL);
}
