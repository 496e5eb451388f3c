/* A child closes the inherited socket; the parent's download is not disturbed. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    pid_t pid = fork();
    if (pid == 0) {
        CALL(close(fd));
        CALL(close(fd));
        _exit(0);
    }
    wait_for(pid);
    body(fd, 15000);
    get(fd, "/fixed/10");
    return 0;
}
