/* A vfork child closes an active socket; its parent's stays open and whole. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        _exit(0);
    }
    wait_for(pid);
    CALL(fcntl(fd, F_GETFD));
    body(fd, 15000);
    get(fd, "/fixed/31");
    CALL(close(fd));
    return 0;
}
