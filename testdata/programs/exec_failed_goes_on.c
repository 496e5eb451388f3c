/* An exec that fails leaves the download as it was. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    CALL(execl("/nonexistent/program", "program", (char *)NULL));
    body(fd, 15000);
    return 0;
}
