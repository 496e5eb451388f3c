/* The open descriptors of a process that sends no HTTP are the program's own. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    list_descriptors_below(1024);
    int fd = dial();
    list_descriptors_below(1024);
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    say("count %d\n", count);
    directory ? closedir(directory) : 0;
    directory = opendir("/proc/self/task");
    for (count = 0; readdir(directory) != NULL;)
        count++;
    say("threads %d\n", count - 2);
    CALL(close(fd));
    return 0;
}
