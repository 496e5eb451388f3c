/* The original is closed in the middle; the duplicate reads the rest. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    int copy = (int)CALL(dup(fd));
    CALL(close(fd));
    body(copy, 10000);
    int again = dial();
    say("same number %d\n", again == fd);
    get(again, "/fixed/222");
    body(copy, 5000);
    return 0;
}
