/* A write after shutdown ends the process by SIGPIPE. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    get(fd, "/fixed/1000");
    CALL(shutdown(fd, SHUT_WR));
    CALL(write(fd, "x", 1));
    say("not reached\n");
    return 0;
}
