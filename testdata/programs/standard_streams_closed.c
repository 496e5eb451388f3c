/* 0 and 2 are closed before the socket is made: it becomes 0, and a GET on it works. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(close(0));
    CALL(close(2));
    int fd = dial();
    say("descriptor %d\n", fd);
    get(fd, "/fixed/1000");
    CALL(dup(fd));
    get(2, "/fixed/2000");
    CALL(close(fd));
    get(2, "/fixed/3000");
    list_descriptors();
    return 0;
}
