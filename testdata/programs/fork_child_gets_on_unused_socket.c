/* A socket connected before fork sends its first request in the child. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    pid_t pid = fork();
    if (pid == 0) {
        get(fd, "/fixed/5000");
        _exit(0);
    }
    wait_for(pid);
    get(fd, "/fixed/5001");
    return 0;
}
