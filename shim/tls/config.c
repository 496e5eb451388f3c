/* config.c: the settings that the libraries' hooks go by: tls.http2, which is needed before the core is there, and tls.identity. */
#include <errno.h>
#include <string.h>

#include "process/settings.h"
#include "tls.h"

/* Whether the inline table `value` ("{a=b,c=d}") has that entry. */
static bool has_entry(const char *value, const char *entry)
{
    size_t n = strlen(entry);
    for (const char *at = value; (at = strpbrk(at, "{,")); at++) {
        if (!strncmp(at + 1, entry, n) && strchr(",}", at[1 + n])) {
            return true;
        }
    }
    return false;
}

/* Whether the section has the entry "KEY=VALUE". */
static bool look(const char *entry)
{
    struct settings s;
    size_t key = strcspn(entry, "=");
    bool found = false;
    if (!settings_open(&s)) {
        return false;
    }
    while (!found && settings_next(&s)) {
        if (!strcmp(s.key, "tls")) {
            found = has_entry(s.value, entry);
        } else if (!strncmp(s.key, "tls.", 4)) {
            found = !strncmp(s.key + 4, entry, key) && !s.key[4 + key] && !strcmp(s.value, entry + key + 1);
        }
    }
    settings_close(&s);
    return found;
}

/* The file is looked at once. `known`: 0: not yet, 1: it has no such entry, 2: it has. */
static bool is_set(_Atomic int *known, const char *entry)
{
    int is = atomic_load(known);
    if (!is) {
        int saved = errno;
        is = look(entry) ? 2 : 1;
        atomic_store(known, is);
        errno = saved;
    }
    return is == 2;
}

bool tls_avoids_h2(void)
{
    static _Atomic int known;
    return !is_set(&known, "http2=keep");
}

bool tls_goes_by_issuer(void)
{
    static _Atomic int known;
    return is_set(&known, "identity=issuer");
}
