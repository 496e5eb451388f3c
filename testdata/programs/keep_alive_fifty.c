/* Fifty GETs on one connection, of sizes from 0 to many segments. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    for (int i = 0; i < 50; i++) {
        char path[40];
        snprintf(path, sizeof path, "/fixed/%d", i * i * i);
        get(fd, path);
    }
    CALL(close(fd));
    return 0;
}
