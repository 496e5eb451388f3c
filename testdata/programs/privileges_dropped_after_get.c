/* setgroups, setgid and setuid after a GET reach every thread and do not hang. */
#include "observe.h"

#include <grp.h>

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    CALL(setgroups(0, NULL));
    CALL(setresgid(65534, 65534, 65534));
    CALL(setresuid(65534, 65534, 65534));
    CALL(getuid());
    body(fd, 15000);
    CALL(setuid(0));
    fetch("/fixed/1000");
    return 0;
}
