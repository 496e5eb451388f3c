/* A vfork child runs another program after a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "echo from the child; exit 6", (char *)NULL);
        _exit(127);
    }
    wait_for(pid);
    body(fd, 15000);
    return 0;
}
