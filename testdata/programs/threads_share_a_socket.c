/* Two threads read the same socket: every octet is delivered once. */
#include "observe.h"

static int fd;

struct count {
    long octets, sum;
};

static void *reader(void *argument)
{
    struct count *count = argument;
    unsigned char buffer[1500];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        count->octets += n;
        for (ssize_t i = 0; i < n; i++)
            count->sum += buffer[i];
    }
    if (n < 0)
        say("recv %s\n", strerrorname_np(errno));
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    fd = dial();
    ask(fd, "/close/3000000");
    say("length %ld\n", head(fd));
    struct count a = {0, 0}, b = {0, 0};
    pthread_t first, second;
    pthread_create(&first, NULL, reader, &a);
    pthread_create(&second, NULL, reader, &b);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    say("octets %ld sum %ld\n", a.octets + b.octets, a.sum + b.sum);
    return 0;
}
