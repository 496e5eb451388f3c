/* connect.c: where a stream begins. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "calls.h"
#include "detour.h"
#include "fork.h"
#include "names.h"
#include "stream.h"
#include "use.h"

EXPORT int socket(int domain, int type, int protocol)
{
    int fd = REAL(socket)(domain, type, protocol);
    if ((unsigned)fd < STREAM_TABLE) {
        struct stream *stale = stream_entry(fd);
        bool tcp = (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM;
        if ((stale || tcp) && fork_same_process()) {
            if (stream_of(fd)) {
                stream_closed(stale); /* its number was closed behind our back */
            }
            stream_mark(fd, tcp ? STREAM_FRESH : NULL);
        }
    }
    return fd;
}

static bool is_tcp(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    return stream_entry(fd) == STREAM_FRESH
        || (!REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_STREAM);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    bool is_free = false;
    if (stream_entry(fd) == STREAM_FRESH) {
        is_free = detour_is_free(fd, address, length);
        use_bind(fd, address, length);
    }
    if (is_free) {
        detour_before(fd, address, length);
    }
    int result = REAL(connect)(fd, address, length);
    if (result && is_free) {
        result = detour_after(fd, address, length);
    }
    int saved = errno;
    if (!address || length < sizeof address->sa_family || (unsigned)fd >= STREAM_TABLE) {
        return result;
    }
    int family = address->sa_family;
    if (family == AF_UNSPEC) {
        struct stream *s = stream_of(fd);
        if (!result && s && fork_same_process()) {
            stream_closed(s);
            stream_mark(fd, STREAM_FRESH);
        }
    } else if ((family == AF_INET || family == AF_INET6) && (!result || saved == EINPROGRESS || saved == EINTR)
               && fork_same_process()) {
        if (names_note_port(fd, address, length)) {
            /* The program's own resolver. */
        } else if (is_tcp(fd)) {
            fork_watch();
            stream_new(fd, family);
        }
    }
    errno = saved;
    return result;
}
