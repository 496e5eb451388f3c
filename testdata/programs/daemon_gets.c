/* A daemon (double fork, setsid, closed descriptors) does its GET and reports by a pipe. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    int ends[2];
    if (pipe(ends) != 0)
        fail("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        close(0);
        close(2);
        fetch("/fixed/2500");
        _exit(0);
    }
    wait_for(pid);
    close(ends[1]);
    char line[256];
    FILE *report = fdopen(ends[0], "r");
    while (report && fgets(line, sizeof line, report))
        say("daemon: %s", line);
    return 0;
}
