/* abort() after a GET ends the process by SIGABRT. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    begin_download();
    abort();
}
