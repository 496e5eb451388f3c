/* A read larger than its buffer in a fortified program aborts as it does natively. */
/* cflags: -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    volatile size_t size = (size_t)argc + 500;
    char buffer[100];
    int fd = begin_download();
    CALL(recv(fd, buffer, size, 0));
    say("not reached %c\n", buffer[0]);
    return 0;
}
