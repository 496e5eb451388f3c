/* A socket closed with octets unread; the next one at its number gets only its own. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int i = 0; i < 30; i++) {
        int fd = dial();
        char path[32], first[4];
        snprintf(path, sizeof path, "/fixed/%d", 50000 + i);
        ask(fd, path);
        if (i % 3 == 0)
            head(fd);
        if (i % 3 == 1)
            recv(fd, first, sizeof first, 0);
        close(fd);
    }
    list_descriptors();
    fetch("/fixed/512");
    CALL(close(3));
    return 0;
}
