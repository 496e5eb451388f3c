/* A child made by the clone system call itself (no atfork handlers) does a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        int own = dial();
        _exit(quiet_get(own, "/fixed/3000") != 0 ? 12 : 13);
    }
    wait_for((pid_t)pid);
    body(fd, 15000);
    return 0;
}
