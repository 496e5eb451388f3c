/* The request leaves through a duplicate made before anything was sent. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    int copy = (int)CALL(dup(fd));
    ask(copy, "/fixed/20000");
    say("length %ld\n", head(fd));
    body(copy, 9000);
    body(fd, 11000);
    return 0;
}
