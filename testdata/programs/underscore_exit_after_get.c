/* _exit directly after a GET runs no handlers and gives its status. */
#include "observe.h"

static void last(void) { say("not to be run\n"); }

int main(int argc, char **argv)
{
    begin(argc, argv);
    atexit(last);
    begin_download();
    _exit(42);
}
