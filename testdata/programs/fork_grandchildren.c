/* Four generations of processes, each doing a GET before and after it forks. */
#include "observe.h"

static int generation(int depth)
{
    char path[32];
    snprintf(path, sizeof path, "/fixed/%d", 1000 + depth);
    fetch(path);
    if (depth < 4) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(generation(depth + 1));
        wait_for(pid);
    }
    fetch(path);
    return depth;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    return generation(0);
}
