/* The low descriptor numbers after HTTP are the program's own, in use and free. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < 3)
            say("open %s\n", entry->d_name);
    closedir(directory);
    for (int i = 3; i < 200; i++)
        if (fcntl(i, F_GETFD) >= 0)
            say("answers %d\n", i);
    CALL(open("/dev/null", O_RDONLY));
    body(fd, 15000);
    CALL(open("/dev/null", O_RDONLY));
    return 0;
}
