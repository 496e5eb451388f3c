/* A child forked after its parent's GET does one of its own, on a new socket. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    pid_t pid = fork();
    if (pid == 0) {
        fetch("/fixed/3000");
        fetch("/fixed/3001");
        exit(4);
    }
    wait_for(pid);
    fetch("/fixed/2000");
    return 0;
}
