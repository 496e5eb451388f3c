/* quic.c: see quic.h. */
#include "quic.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>

#include "process/calls.h"
#include "process/memory.h"
#include "process/settings.h"

bool quic_may_be_refused(void) { return settings_refuse_http3(); }

/* An address as short as one of IPv4 has the port where one of IPv6 has it. */
static bool is_for_quic(int fd, const void *to, socklen_t length)
{
    const struct sockaddr_in *address = to;
    int type = 0, saved = errno;
    socklen_t size = sizeof type;
    if (!to || length < sizeof *address || !memory_is_readable(to, sizeof *address)
        || (address->sin_family != AF_INET && address->sin_family != AF_INET6) || address->sin_port != htons(443)) {
        return false;
    }
    bool is = !REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_DGRAM;
    errno = saved;
    return is;
}

bool quic_refuses(int fd, const void *to, socklen_t length)
{
    bool refused = quic_may_be_refused() && is_for_quic(fd, to, length);
    if (refused) {
        errno = ECONNREFUSED;
    }
    return refused;
}

bool quic_refuses_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    if (!quic_may_be_refused() || !is_for_quic(fd, to, length) || !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)) {
        return false;
    }
    errno = ECONNREFUSED;
    return true;
}

unsigned quic_accepts(int fd, const struct mmsghdr *messages, unsigned count)
{
    unsigned i = 0;
    while (i < count && quic_may_be_refused() && memory_is_readable(&messages[i], sizeof messages[i])
           && !is_for_quic(fd, messages[i].msg_hdr.msg_name, messages[i].msg_hdr.msg_namelen)) {
        i++;
    }
    return i < count && quic_may_be_refused() && memory_is_readable(&messages[i], sizeof messages[i]) ? i : count;
}
