/* What getaddrinfo, getnameinfo and gethostbyname say of local names, and a GET by the result. */
#include "observe.h"

static void look_up(const char *name, const char *service, int flags)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = flags}, *list = NULL;
    int n = getaddrinfo(name, service, &hints, &list);
    say("getaddrinfo %s %s %x = %d %s\n", name ? name : "-", service ? service : "-", flags, n, n ? gai_strerror(n) : "");
    for (struct addrinfo *a = list; n == 0 && a != NULL; a = a->ai_next) {
        char host[100], port[100];
        getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
        say("%d %d %d %u %s %s %s\n", a->ai_family, a->ai_socktype, a->ai_protocol, a->ai_addrlen, host, port,
            a->ai_canonname ? a->ai_canonname : "-");
    }
    if (n == 0)
        freeaddrinfo(list);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (int round = 0; round < 2; round++) {
        look_up("localhost", "80", 0);
        look_up("localhost", NULL, AI_CANONNAME);
        look_up(NULL, "8080", AI_PASSIVE);
        look_up("127.0.0.9", "http", AI_NUMERICHOST);
        look_up("not-a-number", "80", AI_NUMERICHOST);
        look_up(NULL, NULL, 0);
        look_up("127.0.0.1", "nosuchservice", 0);
        h_errno = 0;
        struct hostent *h = gethostbyname("localhost");
        say("%s %d %d %s\n", h ? h->h_name : "-", h ? h->h_addrtype : 0, h ? h->h_length : 0,
            h ? inet_ntoa(*(struct in_addr *)h->h_addr_list[0]) : "-");
        struct hostent space, *result = NULL;
        char buffer[1000];
        int error = 0;
        CALL(gethostbyname_r("127.0.0.5", &space, buffer, sizeof buffer, &result, &error));
        say("%s %d\n", result ? result->h_name : "-", error);
        CALL(gethostbyname_r("localhost", &space, buffer, 3, &result, &error));
        CALL(gethostbyname2_r("localhost", AF_INET, &space, buffer, sizeof buffer, &result, &error));
        h = gethostbyname2("127.0.0.1", AF_INET);
        say("%s\n", h ? h->h_name : "-");
        fetch("/fixed/100");
    }
    return 0;
}
