/*
 * reply.h: where the data connection leads that a server offers.
 *
 * Both are given what follows the code, ended by NUL. core/ftp reads the same.
 */
#ifndef MIDSTREAM_FTP_REPLY_H
#define MIDSTREAM_FTP_REPLY_H

#include <stdbool.h>
#include <netinet/in.h>

/* "227 … h1,h2,h3,h4,p1,p2" (RFC 959 §4.1.2), wherever the numbers begin: servers differ in what is around them. */
bool reply_passive(const char *text, struct in_addr *at, in_port_t *port);

/* "229 … (|||port|)" (RFC 2428 §3). */
bool reply_extended_passive(const char *text, in_port_t *port);

#endif
