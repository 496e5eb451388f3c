/* One thread waits in poll, another reads when told: the same socket. */
#include "observe.h"

static int fd, go_on[2], done[2];
static volatile long total;

static void *reader(void *unused)
{
    (void)unused;
    char octet, buffer[777];
    while (read(go_on[0], &octet, 1) == 1) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        total += n > 0 ? n : 0;
        if (write(done[1], &octet, 1) != 1)
            break;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fd = dial();
    ask(fd, "/slow/40000");
    say("length %ld\n", head(fd));
    if (pipe(go_on) != 0 || pipe(done) != 0)
        fail("pipe");
    pthread_t thread;
    pthread_create(&thread, NULL, reader, NULL);
    while (total < 40000) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char octet = 0;
        int n = poll(&p, 1, 10000);
        if (n != 1 || p.revents != POLLIN)
            say("poll %d revents %d\n", n, p.revents);
        if (write(go_on[1], &octet, 1) != 1 || read(done[0], &octet, 1) != 1)
            fail("pipe");
    }
    close(go_on[1]);
    pthread_join(thread, NULL);
    say("total %ld\n", total);
    return 0;
}
