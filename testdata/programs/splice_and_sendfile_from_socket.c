/* The content goes from the socket by splice into a pipe; by sendfile only a pipe can be the target. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int ends[2], fd = dial();
    if (pipe(ends) != 0)
        fail("pipe");
    ask(fd, "/slow/20000");
    say("length %ld\n", head(fd));
    FILE *file = tmpfile();
    CALL(sendfile(fileno(file), fd, NULL, 10));
    unsigned char buffer[4096];
    CALL(sendfile64(ends[1], fd, NULL, 10));
    CALL(read(ends[0], buffer, 10));
    uint32_t sum = fold(SUM, buffer, 10);
    for (long left = 19990; left > 0;) {
        ssize_t n = splice(fd, NULL, ends[1], NULL, left < 4096 ? (size_t)left : 4096, SPLICE_F_MOVE);
        if (n <= 0)
            fail("splice");
        left -= n;
        while (n > 0) {
            ssize_t r = read(ends[0], buffer, (size_t)n);
            if (r <= 0)
                fail("read");
            sum = fold(sum, buffer, (size_t)r);
            n -= r;
        }
    }
    say("sum %08x\n", sum);
    get(fd, "/fixed/100");
    return 0;
}
