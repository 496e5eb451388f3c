/*
 * reach.h: has the connections of programs that cannot be served by a preloaded library carried by midstream-supervisor.
 *
 * The program stays what the launcher's caller has started: it is this process that sets the filter by which the kernel tells of
 * connections (seccomp_unotify(2)), and becomes the program. The supervisor is a process beside it, with a session of its own.
 */
#ifndef MIDSTREAM_LAUNCHER_REACH_H
#define MIDSTREAM_LAUNCHER_REACH_H

#include <stdbool.h>

struct reach {
    const char *library; /* libmidstream.so, which the supervisor itself is under; it lies beside it */
    const char *ports;   /* to which connections are carried, as in reach.ports */
    bool authority;      /* TLS is to be ended by a certificate authority of this run (tls.reach = "ca") */
    bool refuses_quic;   /* UDP to port 443 is to fail (tls.http3 = "refuse") */
    char why[160];       /* why nothing is carried, "" where it is */
    char without[160];   /* why there is no such authority, "" where there is, or is to be none */
    bool confined;       /* no program can become another user any more (PR_SET_NO_NEW_PRIVS) */
};

/* Whatever this process becomes, and all that it starts, is under the supervisor from now on. False: nothing has changed; why says it. */
bool reach_begin(struct reach *r);

#endif
