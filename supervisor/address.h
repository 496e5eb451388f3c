/* address.h: what is asked of an address. All are AF_INET or AF_INET6. */
#ifndef MIDSTREAM_SUPERVISOR_ADDRESS_H
#define MIDSTREAM_SUPERVISOR_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

socklen_t address_length(const union address *a);
uint16_t address_port(const union address *a);

/* An IPv4 address in the form of IPv6 (RFC 4291 §2.5.5.2). */
bool address_is_mapped(const union address *a);

/* No host's in particular: 0.0.0.0, ::. */
bool address_is_none(const union address *a);

/* This host's own, of a group, or of none: nothing to be carried. Asks the kernel. */
bool address_stays_here(const union address *a);

#endif
