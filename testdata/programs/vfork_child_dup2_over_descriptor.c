/* A vfork child puts /dev/null over an active socket and executes; the parent reads on. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    int null = open("/dev/null", O_RDWR);
    pid_t pid = vfork();
    if (pid == 0) {
        dup2(null, fd);
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    wait_for(pid);
    body(fd, 15000);
    return 0;
}
