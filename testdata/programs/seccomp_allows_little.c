/* A filter, or strict mode, that kills for all but a few calls: set before the connection, before the request, amid the response. */
#include "observe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

enum { AT_ONCE, CONNECTED, AMID, TIMES };
enum { STRICT, STRICT_BY_NUMBER, KILL_PROCESS, KILL_THREAD, TRAP, KILL_BY_NUMBER, KILL_ALL_THREADS, WAYS };
static const char *const ways[] = {"strict", "strict by number", "kill process", "kill thread", "trap", "kill by number", "all threads"};

static void confine(int way, int with_socket)
{
    /* What connecting takes is allowed only where it is still to come. */
    static const int few[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_close, SYS_socket, SYS_connect};
    uint32_t action = way == TRAP ? SECCOMP_RET_TRAP : way == KILL_THREAD ? SECCOMP_RET_KILL_THREAD : SECCOMP_RET_KILL_PROCESS;
    struct sock_filter code[32];
    unsigned short n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < (with_socket ? 8 : 6); i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)few[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    struct sock_fprog program = {n, code};
    if (way != STRICT && way != STRICT_BY_NUMBER && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("no_new_privs");
    if (way == STRICT)
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    else if (way == STRICT_BY_NUMBER)
        syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
    else if (way == KILL_BY_NUMBER)
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    else if (way == KILL_ALL_THREADS)
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    else
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Without printf, and by read and write alone. */
static void download(int way, int when)
{
    static unsigned char buffer[4096];
    uint32_t sum = SUM;
    long length = 100000;
    size_t have = 0;
    char request[400], text[] = "sum 00000000\n";
    size_t size = compose(request, "/fixed/100000");
    if (when == AT_ONCE)
        confine(way, 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        syscall(SYS_exit, 1);
    if (when == CONNECTED)
        confine(way, 0);
    if (write(fd, request, size) != (ssize_t)size)
        syscall(SYS_exit, 2);
    while (have < 4 || memcmp(buffer + have - 4, "\r\n\r\n", 4) != 0) {
        if (read(fd, buffer + have, 1) != 1)
            syscall(SYS_exit, 3);
        have++;
    }
    while (length > 0) {
        if (when == AMID && length == 50000) {
            settle();
            confine(way, 0);
        }
        long most = length > 50000 ? length - 50000 : length;
        ssize_t n = read(fd, buffer, most < (long)sizeof buffer ? (size_t)most : sizeof buffer);
        if (n <= 0)
            syscall(SYS_exit, 4);
        sum = fold(sum, buffer, (size_t)n);
        length -= n;
    }
    if (way > STRICT_BY_NUMBER) /* strict mode has no close */
        close(fd);
    for (int i = 0; i < 8; i++)
        text[4 + i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
    if (write(1, text, sizeof text - 1) < 0)
        syscall(SYS_exit, 5);
    syscall(SYS_exit, 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int when = AT_ONCE; when < TIMES; when++) {
        for (int way = STRICT; way < WAYS; way++) {
            if (when == AT_ONCE && way <= STRICT_BY_NUMBER)
                continue; /* it could not connect */
            say("%s, %d: ", ways[way], when);
            pid_t pid = fork();
            if (pid == 0)
                download(way, when);
            wait_for(pid);
        }
    }
    return 0;
}
