/* system() and popen() work in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    CALL(system("echo one; exit 3"));
    FILE *pipe_from = popen("echo two; ls /proc/self/fd | wc -l", "r");
    char line[100];
    while (pipe_from && fgets(line, sizeof line, pipe_from))
        say("%s", line);
    CALL(pclose(pipe_from));
    body(fd, 15000);
    return 0;
}
