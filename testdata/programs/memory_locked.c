/* A process locks its memory, which is little, then that to come as well, and sends GETs. */
#include "observe.h"

static long locked_kb(void)
{
    char line[200];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmLck: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(mlockall(MCL_CURRENT));
    long kb = locked_kb();
    if (kb < 12000)
        say("little\n");
    else
        say("%ld kB\n", kb);
    CALL(mlockall(MCL_CURRENT | MCL_FUTURE));
    fetch("/fixed/20000");
    int fd = begin_download();
    body(fd, 15000);
    return 0;
}
