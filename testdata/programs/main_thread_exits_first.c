/* The main thread leaves by pthread_exit; another finishes a GET and ends the process. */
#include "observe.h"

static void *worker(void *unused)
{
    (void)unused;
    sleep_ms(20);
    fetch("/fixed/2000");
    exit(14);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    pthread_exit(NULL);
}
