/* tls_config.c: the one setting that is needed before the core is there: tls.http2. */
#include <errno.h>
#include <string.h>

#include "settings.h"
#include "tls.h"

static bool look(void)
{
    struct settings s;
    bool keep = false;
    if (!settings_open(&s)) {
        return false;
    }
    while (!keep && settings_next(&s)) {
        keep = (!strcmp(s.key, "tls.http2") && !strcmp(s.value, "keep")) || (!strcmp(s.key, "tls") && !strcmp(s.value, "{http2=keep}"));
    }
    settings_close(&s);
    return keep;
}

bool tls_avoids_h2(void)
{
    static _Atomic int known; /* 0: not looked yet, 1: avoid, 2: keep */
    int is = atomic_load(&known);
    if (!is) {
        int saved = errno;
        is = look() ? 2 : 1;
        atomic_store(&known, is);
        errno = saved;
    }
    return is == 1;
}
