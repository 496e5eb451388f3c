/* A forked child reads the rest of its parent's response; the parent then uses the connection again. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    pid_t pid = fork();
    if (pid == 0) {
        body(fd, 15000);
        CALL(close(fd));
        _exit(3);
    }
    wait_for(pid);
    get(fd, "/fixed/700");
    CALL(close(fd));
    return 0;
}
