/* A child that shares the descriptor table closes a socket and opens another at its number. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    long pid = syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0);
    if (pid == 0) {
        close(fd);
        int other = dial();
        ask(other, "/fixed/900");
        _exit(other == fd);
    }
    wait_for((pid_t)pid);
    say("length %ld\n", head(fd));
    body(fd, 900);
    get(fd, "/fixed/901");
    CALL(close(fd));
    CALL(close(fd));
    return 0;
}
