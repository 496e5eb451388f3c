/* A socket closed by an inlined system call; its number is used again by another connection. */
#include "observe.h"

static long inline_close(long fd)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(3L), "D"(fd) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = 57, x0 __asm__("x0") = fd;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
    return x0;
#else
    return syscall(SYS_close, fd);
#endif
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    CALL(inline_close(fd));
    int again = dial();
    say("same number %d\n", again == fd);
    get(again, "/fixed/2000");
    CALL(inline_close(again));
    int ends[2];
    if (pipe(ends) != 0)
        fail("pipe");
    say("same number %d\n", ends[0] == fd);
    CALL(write(ends[1], "hello", 5));
    char text[10];
    CALL(read(ends[0], text, sizeof text));
    CALL(recv(ends[0], text, sizeof text, 0));
    CALL(inline_close(ends[0]));
    int file = open("/dev/zero", O_RDONLY);
    say("same number %d\n", file == fd);
    CALL(read(file, text, sizeof text));
    return 0;
}
