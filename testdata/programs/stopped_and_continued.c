/* A child is stopped and continued in the middle of a download and finishes it; SIGTERM ends another. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int ends[2], status;
    if (pipe(ends) != 0)
        fail("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        int fd = begin_download();
        raise(SIGSTOP);
        body(fd, 15000);
        _exit(2);
    }
    waitpid(pid, &status, WUNTRACED);
    say("stopped %d\n", WIFSTOPPED(status));
    kill(pid, SIGCONT);
    wait_for(pid);
    pid = fork();
    if (pid == 0) {
        int fd = dial();
        ask(fd, "/hang/2000");
        say("length %ld\n", head(fd));
        if (write(ends[1], "x", 1) != 1)
            _exit(1);
        body(fd, 2000);
        _exit(2);
    }
    char octet;
    if (read(ends[0], &octet, 1) != 1)
        fail("read");
    kill(pid, SIGTERM);
    wait_for(pid);
    return 0;
}
