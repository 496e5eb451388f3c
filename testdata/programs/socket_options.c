/* What getsockopt and setsockopt say of a tracked socket, before and after a GET. */
#include "observe.h"

#define OPTION(level, name)                                                       \
    do {                                                                          \
        int value = -1;                                                           \
        socklen_t length = sizeof value;                                          \
        int n = getsockopt(fd, level, name, &value, &length);                     \
        say(#name " %d value %d length %u\n", n, value, length);                  \
    } while (0)

static void show(int fd)
{
    OPTION(SOL_SOCKET, SO_TYPE);
    OPTION(SOL_SOCKET, SO_DOMAIN);
    OPTION(SOL_SOCKET, SO_PROTOCOL);
    OPTION(SOL_SOCKET, SO_ERROR);
    OPTION(SOL_SOCKET, SO_ACCEPTCONN);
    OPTION(SOL_SOCKET, SO_KEEPALIVE);
    OPTION(SOL_SOCKET, SO_REUSEADDR);
    OPTION(SOL_SOCKET, SO_RCVLOWAT);
    OPTION(SOL_SOCKET, SO_RCVBUF);
    OPTION(SOL_SOCKET, SO_PRIORITY);
    OPTION(SOL_SOCKET, SO_MARK);
    OPTION(SOL_SOCKET, SO_TIMESTAMP);
    OPTION(SOL_SOCKET, SO_BINDTOIFINDEX);
    OPTION(IPPROTO_TCP, TCP_NODELAY);
    OPTION(IPPROTO_TCP, TCP_KEEPIDLE);
    OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT);
    OPTION(IPPROTO_TCP, TCP_CORK);
    OPTION(IPPROTO_IP, IP_TOS);
    OPTION(IPPROTO_IP, IP_TTL);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, size = 65536, idle = 33, tos = 0x10;
    show(fd);
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    ask(fd, "/fixed/20000");
    head(fd);
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    CALL(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    show(fd);
    body(fd, 20000);
    show(fd);
    struct tcp_info info;
    socklen_t length = sizeof info;
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    say("state %d\n", info.tcpi_state);
    return 0;
}
