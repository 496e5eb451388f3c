/* A socket bound to a source address before connect keeps it, through a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 4)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CALL(bind(fd, (struct sockaddr *)&a, sizeof a));
    CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
    get(fd, "/fixed/1000");
    CALL(getsockname(fd, (struct sockaddr *)&a, &(socklen_t){sizeof a}));
    say("source %s\n", inet_ntoa(a.sin_addr));
    return 0;
}
