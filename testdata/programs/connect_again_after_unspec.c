/* AF_UNSPEC disconnects an active socket; the same descriptor connects and GETs again. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    for (int i = 0; i < 3; i++) {
        CALL(connect(fd, &none, sizeof none));
        struct sockaddr_in peer;
        CALL(getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){sizeof peer}));
        CALL(connect(fd, (struct sockaddr *)&server, sizeof server));
        get(fd, "/fixed/4000");
    }
    CALL(close(fd));
    return 0;
}
