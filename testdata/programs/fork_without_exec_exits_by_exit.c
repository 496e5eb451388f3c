/* A forked child leaves by exit(), running the handlers it inherited. */
#include "observe.h"

static void last(void) { say("handler\n"); }

int main(int argc, char **argv)
{
    begin(argc, argv);
    atexit(last);
    fetch("/fixed/1000");
    pid_t pid = fork();
    if (pid == 0)
        exit(21);
    wait_for(pid);
    return 5;
}
