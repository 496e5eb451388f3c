/*
 * settings.h: what the shim has to know of the configuration before the core is there, or without it.
 *
 * Only the core understands all of the file, and says whether it is valid. Here a line is a key, and what it is set to; texts of
 * several lines and escapes within texts are not understood. The file is the one that the core reads (core/config/find.go), and is
 * looked at when something is asked, but for HTTP/2 and HTTP/3. shim/tests/readers holds the answers against the core's.
 */
#ifndef MIDSTREAM_SETTINGS_H
#define MIDSTREAM_SETTINGS_H

#include <stdbool.h>

/* Whether HTTP/2 is offered where HTTP/1.1 is as well (tls.http2). Keeps errno. The file is looked at once. */
bool settings_keep_http2(void);

/* Whether all of the octets received are to prove that another server has the same content (migration.proof). */
bool settings_whole_proof(void);

/* Whether UDP to port 443 is refused, so that no HTTP/3 is spoken (tls.http3). The same. */
bool settings_refuse_http3(void);

/*
 * Whether new connections are kept off the interface. What cannot be judged here (rules with conditions, criteria for sessions,
 * inline tables) counts as forbidden.
 */
bool settings_forbid(const char *interface);

/* Whether octets over the interface are paid for. What the manager knows beside comes with its order. */
bool settings_cost(const char *interface);

/* Whether the interface may be used in spite of tunnels and rules. */
bool settings_leave_tunnel(const char *interface);

/* What the interface is said to be. */
enum settings_kind { SETTINGS_UNSAID, SETTINGS_TUNNEL, SETTINGS_NO_TUNNEL };
enum settings_kind settings_kind(const char *interface);

#endif
