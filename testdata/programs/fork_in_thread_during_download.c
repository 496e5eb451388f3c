/* A thread forks and waits while another reads; both get what they should. */
#include "observe.h"

static int downloading;

static void *reader(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)drain(downloading, 15000, SUM);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    downloading = begin_download();
    pthread_t thread;
    void *sum;
    pthread_create(&thread, NULL, reader, NULL);
    for (int i = 0; i < 8; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(downloading);
            int fd = dial();
            _exit(quiet_get(fd, "/fixed/100") == 0);
        }
        wait_for(pid);
    }
    pthread_join(thread, &sum);
    say("sum %08x\n", (unsigned)(uintptr_t)sum);
    return 0;
}
