/* A non-blocking connect: EINPROGRESS, EALREADY or not, poll, SO_ERROR, then a GET in that mode. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
        socklen_t length = sizeof error;
        CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
        struct pollfd p = {.fd = fd, .events = POLLOUT | POLLIN};
        CALL(poll(&p, 1, 10000));
        say("revents %d\n", p.revents);
        CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
        say("error %d\n", error);
        CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
        CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
        char request[400], buffer[999];
        CALL(recv(fd, buffer, sizeof buffer, 0));
        send_all(fd, request, compose(request, "/slow-close/20000"));
        settle();
        long total = 0;
        ssize_t n;
        while ((n = read(fd, buffer, sizeof buffer)) != 0) {
            if (n > 0) {
                total += n;
                continue;
            }
            p.events = POLLIN;
            if (errno != EAGAIN || poll(&p, 1, 10000) != 1 || p.revents != POLLIN)
                say("read %s, revents %d\n", strerrorname_np(errno), p.revents);
        }
        say("total %ld\n", total);
        CALL(close(fd));
    }
    return 0;
}
