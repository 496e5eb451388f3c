/*
 * raw.c: downloads a file by system calls of its own, past any library: raw ADDRESS HOST PATH FILE.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(long number, long a, long b, long c, long d, long e, long f)
{
#ifdef __x86_64__
    long result;
    __asm__ volatile("mov %5, %%r10; mov %6, %%r8; mov %7, %%r9; syscall"
                     : "=&a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "g"(d), "g"(e), "g"(f)
                     : "rcx", "r8", "r9", "r10", "r11", "memory");
    return result;
#else
    return syscall(number, a, b, c, d, e, f);
#endif
}

int main(int count, char **arguments)
{
    static char octets[65536];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) };
    if (count != 5 || inet_pton(AF_INET, arguments[1], &to.sin_addr) != 1) {
        return 2;
    }
    int length = snprintf(octets, sizeof octets, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", arguments[3], arguments[2]);
    int fd = (int)call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0), out = open(arguments[4], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (call(SYS_connect, fd, (long)&to, sizeof to, 0, 0, 0) || call(SYS_sendto, fd, (long)octets, length, 0, 0, 0) != length) {
        return 1;
    }
    size_t head = 0, total = 0;
    for (long n; (n = call(SYS_recvfrom, fd, (long)(octets + head), (long)(sizeof octets - head), 0, 0, 0)) != 0;) {
        if (n < 0) {
            printf("error %ld\n", n);
            return 1;
        }
        if (total) {
            total += (size_t)n;
            if (write(out, octets, (size_t)n) != n) {
                return 1;
            }
            continue;
        }
        head += (size_t)n;
        char *end = memmem(octets, head, "\r\n\r\n", 4);
        if (end) {
            end += 4;
            total = head - (size_t)(end - octets);
            if (write(out, end, total) != (ssize_t)total) {
                return 1;
            }
            total++; /* even where nothing has come with the head */
            head = 0;
        }
    }
    printf("%zu\n", total - 1);
    return 0;
}
