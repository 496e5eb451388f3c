/* The content goes from the socket by splice into a pipe; by sendfile only a pipe can be the target. */
#include "observe.h"

static int ends[2];
static unsigned char buffer[4096];

static void spliced(int fd, uint32_t sum, long left)
{
    while (left > 0) {
        errno = 0;
        ssize_t n = splice(fd, NULL, ends[1], NULL, left < 4096 ? (size_t)left : 4096, SPLICE_F_MOVE);
        if (n <= 0 || errno)
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
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    if (pipe(ends) != 0)
        fail("pipe");
    ask(fd, "/slow/20000");
    say("length %ld\n", head(fd));
    CALL(splice(fd, NULL, ends[1], NULL, 0, 0));
    spliced(fd, SUM, 20000);
    CALL(splice(fd, NULL, ends[1], NULL, 0, 0));
    get(fd, "/fixed/100");
    ask(fd, "/slow/20000");
    say("length %ld\n", head(fd));
    FILE *file = tmpfile();
    CALL(sendfile(fileno(file), fd, NULL, 10));
    CALL(sendfile64(ends[1], fd, NULL, 10));
    CALL(read(ends[0], buffer, 10));
    spliced(fd, fold(SUM, buffer, 10), 19990);
    get(fd, "/fixed/100");
    ask(fd, "/fixed/100");
    CALL(splice(fd, NULL, ends[1], NULL, 1, 0)); /* waits for the head */
    return 0;
}
