/* A connect that cannot be routed, or to the wrong family, fails as the kernel says. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(fd, (struct sockaddr *)&a, sizeof a));
    CALL(connect(fd, (struct sockaddr *)&six, sizeof six));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(recv(fd, &a, 1, 0));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    get(fd, "/fixed/100");
    return 0;
}
