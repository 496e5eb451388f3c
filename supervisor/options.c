/* options.c: see options.h. */
#include "options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "carried.h"
#include "notice.h"
#include "target.h"

/* Those of IPv6 fail on an IPv4 socket, and that is all. */
static const struct {
    int level, name;
} followed[] = {
    { SOL_SOCKET, SO_KEEPALIVE },     { IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_TCP, TCP_KEEPINTVL },  { IPPROTO_TCP, TCP_KEEPCNT },
    { IPPROTO_TCP, TCP_USER_TIMEOUT }, { IPPROTO_TCP, TCP_SYNCNT },  { IPPROTO_IP, IP_TOS },          { IPPROTO_IP, IP_TTL },
    { IPPROTO_IPV6, IPV6_TCLASS },    { IPPROTO_IPV6, IPV6_UNICAST_HOPS }, { SOL_SOCKET, SO_PRIORITY },
};

void options_set(struct notice *n)
{
    struct target *t = carried_known() ? target_of(n) : NULL;
    int fd = t ? target_take(t, notice_int(n, 0)) : -1, value;
    struct carried *c = fd >= 0 ? carried_of(carried_cookie(fd)) : NULL;
    if (c && c->server.fd >= 0 && notice_int(n, 4) >= (int)sizeof value && target_read(t, notice_address(n, 3), &value, sizeof value)) {
        setsockopt(c->server.fd, notice_int(n, 1), notice_int(n, 2), &value, sizeof value);
    }
    target_give_back(fd);
    notice_pass(n);
}

/* What a socket has that has just been made; each is asked once. */
static int default_of(int fd, unsigned i, bool six)
{
    static struct {
        bool known;
        int value;
    } defaults[2][sizeof followed / sizeof *followed];
    socklen_t length = sizeof(int);
    if (!defaults[six][i].known) {
        defaults[six][i].known = true;
        defaults[six][i].value = -1;
        getsockopt(fd, followed[i].level, followed[i].name, &defaults[six][i].value, &length);
    }
    return defaults[six][i].value;
}

void options_copy(int from, int to, bool six)
{
    for (unsigned i = 0; i < sizeof followed / sizeof *followed; i++) {
        int wanted = 0;
        socklen_t length = sizeof wanted;
        bool has = six || followed[i].level != IPPROTO_IPV6;
        if (has && !getsockopt(from, followed[i].level, followed[i].name, &wanted, &length) && wanted != default_of(to, i, six)) {
            setsockopt(to, followed[i].level, followed[i].name, &wanted, sizeof wanted);
        }
    }
}
