/* A child does its GET on the kept-alive connection that its parent opened; then the parent does. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    get(fd, "/fixed/100");
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            get(fd, "/fixed/200");
            _exit(i);
        }
        wait_for(pid);
        get(fd, "/fixed/300");
    }
    return 0;
}
