/* A process that kills itself with SIGKILL in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    begin_download();
    kill(getpid(), SIGKILL);
    return 0;
}
