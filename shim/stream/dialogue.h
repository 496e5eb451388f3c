/*
 * dialogue.h: what is known of a connection as one of FTP's (RFC 959): a control connection, or the data connection of one.
 *
 * By the thread inside a call on the control connection; one at a time (`busy`).
 */
#ifndef MIDSTREAM_DIALOGUE_H
#define MIDSTREAM_DIALOGUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

/* Octets of a dialogue that are kept before the core knows it, with three for each piece. */
#define DIALOGUE_OCTETS 16384

/* The longest line that is looked at; of a longer one, the beginning is. */
#define DIALOGUE_LINE 128

enum dialogue_state {
    DIALOGUE_NONE,
    DIALOGUE_GREETS,   /* the server has spoken first, as one of FTP's does: what follows has still to be read, or to be written */
    DIALOGUE_FOLLOWED, /* a control connection */
    DIALOGUE_DATA,     /* the data connection of one */
};

struct dialogue_line {
    char text[DIALOGUE_LINE];
    uint32_t length; /* of the line, which may be more than is kept */
};

struct dialogue {
    uint8_t state; /* enum dialogue_state */
    _Atomic bool busy;
    bool told;         /* the core knows it */
    bool logged_in;    /* USER has been written */
    bool secures;      /* AUTH has been written, and not been refused */
    bool retrieves;    /* RETR has been written since the last data connection was offered */
    in_port_t port;    /* of the data connection that has been offered, 0 none */
    struct in_addr at; /* its address in a 227, 0 none */
    struct dialogue_line said, answered; /* the lines in progress */
    uint8_t *octets;   /* the pieces that the core has still to be told of: whose, length, octets; NULL before the first */
    uint32_t kept;
    uint32_t data_slot; /* the data connection, */
    uint64_t data;      /* and its id, 0 none */
    uint64_t control;   /* DIALOGUE_DATA: the id of the control connection */
    struct sockaddr_in6 server; /* where data connections lead once the core carries the dialogue on; family 0: where the program says */
    uint32_t device;            /* and over which interface */
};

/* Control connections that are followed. While 0, connect() costs one load more than without. */
extern _Atomic uint32_t dialogue_controls;

#endif
