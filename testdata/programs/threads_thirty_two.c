/* Thirty-two threads do twenty GETs each, on connections of their own. */
#include "observe.h"

static void *worker(void *argument)
{
    long good = 0, number = (long)argument;
    char path[32];
    for (int i = 0; i < 20; i++) {
        int fd = dial();
        snprintf(path, sizeof path, "/fixed/%ld", 1000 + number % 4);
        uint32_t first = quiet_get(fd, path);
        good += first == quiet_get(fd, path);
        close(fd);
    }
    return (void *)good;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    pthread_t threads[32];
    long good = 0;
    for (long i = 0; i < 32; i++)
        if (pthread_create(&threads[i], NULL, worker, (void *)i) != 0)
            fail("pthread_create");
    for (int i = 0; i < 32; i++) {
        void *result;
        pthread_join(threads[i], &result);
        good += (long)result;
    }
    say("good %ld\n", good);
    list_descriptors();
    return 0;
}
