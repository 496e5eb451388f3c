/* GETs of a process that locks its memory, present and future. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    CALL(mlockall(MCL_CURRENT | MCL_FUTURE));
    fetch("/fixed/20000");
    int fd = begin_download();
    body(fd, 15000);
    return 0;
}
