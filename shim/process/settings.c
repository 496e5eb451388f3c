/* settings.c: see settings.h. All that the shim knows of the configuration's keys is here. */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"

struct settings {
    struct lines lines;
    char section[96], key[192], value[64];
};

/* False when there is no file. */
static bool open_settings(struct settings *s)
{
    char path[PATH_MAX];
    const char *given = getenv("MIDSTREAM_CONFIG"), *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int fd = -1, n = -1;
    s->section[0] = 0;
    if (given && *given) {
        return lines_open(&s->lines, given);
    }
    if (folder && *folder == '/') {
        n = snprintf(path, sizeof path, "%s/midstream/config.toml", folder);
    } else if (home && *home == '/') {
        n = snprintf(path, sizeof path, "%s/.config/midstream/config.toml", home);
    }
    if (n > 0 && n < (int)sizeof path) {
        fd = lines_file(path);
    }
    return lines_begin(&s->lines, fd >= 0 ? fd : lines_file("/etc/midstream/config.toml"));
}

/* Copies without blanks and quotation marks, up to a character of `end`. */
static const char *compact(char *to, size_t size, const char *from, const char *end)
{
    size_t n = 0;
    for (; *from && !strchr(end, *from); from++) {
        if (!strchr(" \t\r\"'", *from) && n + 1 < size) {
            to[n++] = *from;
        }
    }
    to[n] = 0;
    return from;
}

/*
 * The next key, with its tables ("tls.http2"), and what follows its "=" on its line, both without blanks and quotation
 * marks; or a table's name, with the value "". False when there is no more.
 */
static bool next(struct settings *s)
{
    while (lines_next(&s->lines)) {
        const char *text = s->lines.line + strspn(s->lines.line, " \t");
        if (*text == '[') {
            compact(s->section, sizeof s->section - 1, text + strspn(text, "["), "]#");
            strcpy(s->key, s->section);
            strcat(s->section, ".");
            s->value[0] = 0;
            return true;
        }
        size_t prefix = (size_t)snprintf(s->key, sizeof s->key, "%s", s->section);
        text = compact(s->key + prefix, sizeof s->key - prefix, text, "=#");
        if (*text == '=') {
            compact(s->value, sizeof s->value, text + 1, "#");
            return true;
        }
    }
    return false;
}

static bool starts(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

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

/* Whether a key of the table "tls" has this value: "http2=keep". */
static bool look_for_tls(const char *entry)
{
    struct settings s;
    char one[sizeof s.key + sizeof s.value];
    bool is = false;
    if (!open_settings(&s)) {
        return false;
    }
    while (!is && next(&s)) {
        bool inner = starts(s.key, "tls.") && snprintf(one, sizeof one, "%s=%s", s.key + 4, s.value) > 0;
        is = (!strcmp(s.key, "tls") && has_entry(s.value, entry)) || (inner && !strcmp(one, entry));
    }
    lines_close(&s.lines);
    return is;
}

/* The same, of which the answer is kept: 0: not yet known, 1: no, 2: yes. Keeps errno. */
static bool is_known_of_tls(_Atomic int *known, const char *entry)
{
    int is = atomic_load_explicit(known, memory_order_relaxed);
    if (!is) {
        int saved = errno;
        is = look_for_tls(entry) ? 2 : 1;
        atomic_store(known, is);
        errno = saved;
    }
    return is == 2;
}

bool settings_keep_http2(void)
{
    static _Atomic int known;
    return is_known_of_tls(&known, "http2=keep");
}

bool settings_refuse_http3(void)
{
    static _Atomic int known;
    return is_known_of_tls(&known, "http3=refuse");
}

bool settings_whole_proof(void)
{
    struct settings s;
    bool whole = false;
    if (!open_settings(&s)) {
        return false;
    }
    while (!whole && next(&s)) {
        whole = (!strcmp(s.key, "migration.proof") && !strcmp(s.value, "whole")) || (!strcmp(s.key, "migration") && has_entry(s.value, "proof=whole"));
    }
    lines_close(&s.lines);
    return whole;
}

bool settings_forbid(const char *interface)
{
    struct settings s;
    char never[sizeof "interfaces..never" + IFNAMSIZ];
    bool forbidden = false;
    snprintf(never, sizeof never, "interfaces.%s.never", interface);
    if (!open_settings(&s)) {
        return false;
    }
    while (!forbidden && next(&s)) {
        forbidden = (!strcmp(s.key, "failover.enabled") && starts(s.value, "false"))
            || (!strcmp(s.key, never) && starts(s.value, "true"))
            || (!strcmp(s.key, "policy.rules.avoid") && !strcmp(s.value, interface))
            || (strchr(s.value, '{') && !starts(s.key, "policy.servers"))
            || starts(s.key, "policy.rules.[") || (!strcmp(s.key, "policy.rules") && *s.value) || starts(s.key, "sessions.");
    }
    lines_close(&s.lines);
    return forbidden;
}

bool settings_cost(const char *interface)
{
    struct settings s;
    char metered[sizeof "interfaces..metered" + IFNAMSIZ], cost[sizeof "interfaces..cost" + IFNAMSIZ];
    bool is = false;
    snprintf(metered, sizeof metered, "interfaces.%s.metered", interface);
    snprintf(cost, sizeof cost, "interfaces.%s.cost", interface);
    if (!open_settings(&s)) {
        return false;
    }
    while (!is && next(&s)) {
        is = (!strcmp(s.key, metered) && starts(s.value, "true")) || (!strcmp(s.key, cost) && strpbrk(s.value, "123456789"));
    }
    lines_close(&s.lines);
    return is;
}

bool settings_leave_tunnel(const char *interface)
{
    struct settings s;
    char one[IFNAMSIZ + 2], all[sizeof s.value + 2];
    bool may = false;
    snprintf(one, sizeof one, ",%s,", interface);
    if (!open_settings(&s)) {
        return false;
    }
    while (!may && next(&s)) {
        may = !strcmp(s.key, "policy.leave_tunnel") && starts(s.value, "true");
        if (!strcmp(s.key, "policy.prefer")) {
            /* What does not fit is not looked at, and the last name may have been cut off. */
            size_t n = strlen(s.value);
            const char *end = *s.value == '[' ? strrchr(s.value, s.value[n - 1] == ']' ? ']' : ',') : NULL;
            snprintf(all, sizeof all, ",%.*s,", end ? (int)(end - s.value) - 1 : 0, s.value + 1);
            may = strstr(all, one);
        }
    }
    lines_close(&s.lines);
    return may;
}

enum settings_kind settings_kind(const char *interface)
{
    struct settings s;
    char kind[sizeof "interfaces..kind" + IFNAMSIZ];
    enum settings_kind said = SETTINGS_UNSAID;
    snprintf(kind, sizeof kind, "interfaces.%s.kind", interface);
    if (!open_settings(&s)) {
        return said;
    }
    while (next(&s)) {
        if (!strcmp(s.key, kind)) {
            said = strcmp(s.value, "tunnel") ? SETTINGS_NO_TUNNEL : SETTINGS_TUNNEL;
        }
    }
    lines_close(&s.lines);
    return said;
}
