/* O_NONBLOCK is set, and taken back by other means than fcntl or ioctl on the descriptor here: a read waits again. */
#include "observe.h"

static void by_child(int fd)
{
    pid_t child = fork();
    if (child == 0) {
        fcntl(fd, F_SETFL, 0);
        _exit(0);
    }
    wait_for(child);
}

static void by_copy(int fd)
{
    int copy = dup(fd);
    fcntl(copy, F_SETFL, 0);
    close(copy);
}

static void by_copy_and_ioctl(int fd)
{
    int copy = dup(fd), off = 0;
    ioctl(copy, FIONBIO, &off);
    close(copy);
}

static void by_system_call(int fd) { syscall(SYS_fcntl, fd, F_SETFL, 0); }

static void *sends_the_rest(void *peer)
{
    sleep_ms(20);
    send_all(*(int *)peer, "second", 6);
    return NULL;
}

int main(int argc, char **argv)
{
    void (*const ways[])(int) = {by_child, by_copy, by_copy_and_ioctl, by_system_call};
    begin(argc, argv);
    for (size_t i = 0; i < 2 * sizeof ways / sizeof *ways; i++) {
        int fd, peer;
        char octets[6];
        pthread_t thread;
        tcp_pair(&fd, &peer);
        ask(fd, "/");
        const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst";
        send_all(peer, answer, strlen(answer));
        say("length %ld\n", head(fd));
        body(fd, 5);
        CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
        CALL(i % 2 ? read(fd, octets, sizeof octets) : recv(fd, octets, sizeof octets, 0));
        ways[i / 2](fd);
        CALL(fcntl(fd, F_GETFL));
        pthread_create(&thread, NULL, sends_the_rest, &peer);
        CALL(i % 2 ? read(fd, octets, sizeof octets) : recv(fd, octets, sizeof octets, 0));
        pthread_join(thread, NULL);
        CALL(recv(fd, octets, sizeof octets, MSG_DONTWAIT));
        CALL(close(fd));
        CALL(close(peer));
    }
    return 0;
}
