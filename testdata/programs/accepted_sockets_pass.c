/* A program that is a server: what it accepts, reads and writes is untouched, forked children too. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int i = 0; i < 3; i++) {
        int client, peer;
        tcp_pair(&client, &peer);
        pid_t pid = fork();
        if (pid == 0) {
            char request[400];
            close(client);
            CALL(recv(peer, request, sizeof request, 0) > 60);
            CALL(write(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43));
            CALL(shutdown(peer, SHUT_RDWR));
            _exit(0);
        }
        close(peer);
        ask(client, "/mine");
        wait_for(pid);
        body(client, head(client));
        close(client);
    }
    return 0;
}
