/* read, recvfrom and write by syscall(), which no hook of libc's names sees. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char request[400], buffer[5000];
    int fd = dial();
    ask(fd, "/fixed/20000");
    say("length %ld\n", head(fd));
    body(fd, 5000);
    for (long left = 10000; left > 0;) {
        long n = left % 2 ? syscall(SYS_read, fd, buffer, 1000 < left ? 1000 : left)
                          : syscall(SYS_recvfrom, fd, buffer, 999 < left ? 999 : left, 0, NULL, NULL);
        if (n <= 0)
            fail("syscall");
        left -= n;
    }
    body(fd, 5000);
    size_t n = compose(request, "/fixed/300");
    CALL(syscall(SYS_write, fd, request, n) == (long)n);
    say("length %ld\n", head(fd));
    body(fd, 300);
    int copy = (int)CALL(syscall(SYS_dup, fd));
    CALL(syscall(SYS_close, fd));
    get(copy, "/fixed/10");
    CALL(syscall(SYS_close, fd));
    CALL(syscall(SYS_getpid) == getpid());
    return 0;
}
