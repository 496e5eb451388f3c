/* quic.c: see quic.h. */
#include "quic.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "notice.h"
#include "target.h"

static bool refuses;

void quic_refuse(bool refuse) { refuses = refuse; }

/* Reads the thread's memory before it is known whose it is: most calls are for others, and soon let go. */
static bool glance(const struct notice *n, uint64_t address, void *to, size_t size)
{
    struct target thread = { .thread = (pid_t)n->call.pid };
    return address && n->call.pid && target_read(&thread, address, to, size);
}

/* An address as short as one of IPv4 has the port where one of IPv6 has it. */
static bool is_quic(const struct notice *n, uint64_t address, uint64_t length)
{
    struct sockaddr_in to;
    return length >= sizeof to && glance(n, address, &to, sizeof to) && (to.sin_family == AF_INET || to.sin_family == AF_INET6) && to.sin_port == htons(443);
}

/* Whether the descriptor is one for datagrams, which does not wait where that is asked for. */
static bool is_datagram(const struct notice *n, bool may_wait)
{
    struct target *t = target_of(n);
    int fd = t ? target_take(t, notice_int(n, 0)) : -1, type = 0;
    socklen_t length = sizeof type;
    bool is = fd >= 0 && !syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_DGRAM
        && (may_wait || fcntl(fd, F_GETFL) & O_NONBLOCK);
    target_give_back(fd);
    return is;
}

bool quic_connect(struct notice *n)
{
    bool refused = refuses && is_quic(n, notice_address(n, 1), (uint32_t)notice_int(n, 2)) && is_datagram(n, false);
    if (refused) {
        notice_answer(n, ECONNREFUSED);
    }
    return refused;
}

/* Of several messages the first: those behind others cannot be held back alone. */
static bool has_quic(const struct notice *n)
{
    struct msghdr message;
    if (n->call.data.nr == SYS_sendto) {
        return is_quic(n, notice_address(n, 4), (uint32_t)notice_int(n, 5));
    }
    return glance(n, notice_address(n, 1), &message, sizeof message) && is_quic(n, (uintptr_t)message.msg_name, message.msg_namelen);
}

void quic_send(struct notice *n)
{
    if (has_quic(n) && is_datagram(n, true)) {
        notice_answer(n, ECONNREFUSED);
    } else {
        notice_pass(n);
    }
}
