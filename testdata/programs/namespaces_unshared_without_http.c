/* unshare of user and mount namespaces works in a process that did no HTTP. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    CALL(close(fd));
    CALL(unshare(CLONE_NEWUSER));
    CALL(unshare(CLONE_NEWNS | CLONE_NEWUTS));
    CALL(unshare(CLONE_FILES | CLONE_FS));
    CALL(getuid());
    fetch("/fixed/100");
    return 0;
}
