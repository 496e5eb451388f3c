/* Eight megabytes arrive whole through reads of many sizes. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    static unsigned char buffer[1 << 18];
    int fd = dial();
    ask(fd, "/fixed/8000000");
    long left = head(fd);
    say("length %ld\n", left);
    uint32_t sum = SUM;
    for (size_t size = 1; left > 0; size = size * 3 % sizeof buffer + 1) {
        ssize_t n = read(fd, buffer, (long)size < left ? size : (size_t)left);
        if (n <= 0)
            fail("read");
        sum = fold(sum, buffer, (size_t)n);
        left -= n;
    }
    say("sum %08x\n", sum);
    get(fd, "/fixed/10");
    return 0;
}
