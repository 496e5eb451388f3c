/* look.c: looks at programs; see look.h. What cannot be read gets the benefit of the doubt. */
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf.h"

/* The kernel follows no more interpreters of interpreters (BINPRM_MAX_RECURSION), and reads no longer first line. */
#define DEPTH_MAX 4
#define LINE_MAX_OCTETS 256

#define STAYS "its downloads cannot be moved"

static void examine(struct look *l, const char *file, const char *whose, int depth);

__attribute__((format(printf, 2, 3))) static void limit(struct look *l, const char *format, ...)
{
    va_list arguments;
    if (!l->limit[0]) {
        va_start(arguments, format);
        vsnprintf(l->limit, sizeof l->limit, format, arguments);
        va_end(arguments);
    }
}

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (!strcmp(name, *names)) {
            return true;
        }
    }
    return false;
}

static int try(const char *file, int status)
{
    struct stat s;
    if (stat(file, &s)) {
        return status;
    }
    return S_ISREG(s.st_mode) && !faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) ? 0 : 126;
}

int look_find(const char *name, char *found)
{
    int status = 127;
    if (strchr(name, '/')) {
        snprintf(found, PATH_MAX, "%s", name);
        return try(name, status);
    }
    const char *path = getenv("PATH");
    for (const char *rest = path ? path : "/usr/local/bin:/usr/bin:/bin"; *name && rest;) {
        const char *end = strchrnul(rest, ':');
        int length = (int)(end - rest);
        if (snprintf(found, PATH_MAX, "%.*s/%s", length ? length : 1, length ? rest : ".", name) < PATH_MAX
            && !(status = try(found, status))) {
            return 0;
        }
        rest = *end ? end + 1 : NULL;
    }
    return status;
}

/* An owner's or group's own program gains nothing, and the loader trusts it. */
static bool is_setuid(const struct stat *s)
{
    return (s->st_mode & S_ISUID && s->st_uid != geteuid()) || (s->st_mode & S_ISGID && s->st_gid != getegid());
}

/* For root, file capabilities add nothing: capabilities(7), "Capabilities and execution of programs by root". */
static bool is_capable(int fd)
{
    return geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* The loader itself asks for none. */
static bool is_loader(const char *file)
{
    const char *name = base(file);
    return (!strncmp(name, "ld-", 3) && strstr(name, ".so")) || !strcmp(name, "ld.so") || !strncmp(name, "ld64.so", 7);
}

/* AddressSanitizer's library ends the program where another one was loaded before it, unless this says otherwise. */
static bool asan_bears_it(void)
{
    const char *options = getenv("ASAN_OPTIONS");
    return options && strstr(options, "verify_asan_link_order=0");
}

static void examine_elf(struct look *l, const char *file, const char *whose, int fd, const struct elf *elf)
{
    struct elf own = { 0 };
    struct stat s;
    int library = open(l->library, O_RDONLY | O_CLOEXEC);
    bool known = library >= 0 && elf_read(library, &own);
    if (library >= 0) {
        close(library);
    }
    if (known && (elf->class != own.class || elf->data != own.data || elf->machine != own.machine)) {
        limit(l, "%s%s is for another architecture than libmidstream.so: " STAYS, whose, file);
    } else if (!fstat(fd, &s) && is_setuid(&s)) {
        limit(l, "%s%s is setuid or setgid, for which the loader ignores LD_PRELOAD: " STAYS, whose, file);
    } else if (!elf->interpreted && !is_loader(file)) {
        l->carried = !l->limit[0];
        limit(l, "%s%s is statically linked, so that nothing can be preloaded: " STAYS, whose, file);
    } else if (is_capable(fd)) {
        limit(l, "%s%s has file capabilities, for which the loader ignores LD_PRELOAD: " STAYS, whose, file);
    } else if (elf->go) {
        l->carried = !l->limit[0];
        limit(l, "%s%s is a Go program, which makes its system calls itself, past the C library: " STAYS, whose, file);
    } else if (elf->asan && !asan_bears_it()) {
        l->breaks = true;
        limit(l, "%s%s was built with AddressSanitizer, which bears no preloaded library before its own "
                 "(unless ASAN_OPTIONS has verify_asan_link_order=0): " STAYS, whose, file);
    }
}

/* Cuts the next word off a line, as env -S does without quotes; NULL at its end. */
static char *word(char **line)
{
    *line += strspn(*line, " \t");
    return **line ? strsep(line, " \t") : NULL;
}

/* What comes after env in the first line: env(1). */
static void examine_env(struct look *l, const char *file, const char *whose, int depth, char *line)
{
    char found[PATH_MAX], *w;
    while (line && (w = word(&line))) {
        if (!strncmp(w, "-S", 2) && w[2]) {
            w += 2; /* a word in itself */
        } else if (!strncmp(w, "--split-string=", 15)) {
            w += 15;
        }
        if (!strncmp(w, "-i", 2) || !strcmp(w, "-") || !strcmp(w, "--ignore-environment")) {
            limit(l, "%s clears its environment in its first line, and with it LD_PRELOAD: " STAYS, file);
            return;
        }
        if (!strcmp(w, "-u") || !strcmp(w, "-C")) {
            if (line) {
                word(&line);
            }
        } else if (*w && *w != '-' && !strchr(w, '=')) {
            if (!look_find(w, found)) {
                examine(l, found, whose, depth);
            }
            return;
        }
    }
}

/* The interpreter that a script names in its first line: execve(2). */
static void examine_script(struct look *l, const char *file, int depth, char *line)
{
    char whose[PATH_MAX + 32], *interpreter;
    line[strcspn(line, "\n")] = 0;
    if (depth >= DEPTH_MAX || !(interpreter = word(&line))) {
        return;
    }
    snprintf(whose, sizeof whose, "the interpreter of %s, ", file);
    if (strcmp(base(interpreter), "env")) {
        examine(l, interpreter, whose, depth + 1);
    } else {
        examine_env(l, file, whose, depth + 1, line);
    }
}

static void examine(struct look *l, const char *file, const char *whose, int depth)
{
    struct elf elf;
    char line[LINE_MAX_OCTETS + 1];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return;
    }
    if (elf_read(fd, &elf)) {
        examine_elf(l, file, whose, fd, &elf);
    } else {
        ssize_t n = pread(fd, line, sizeof line - 1, 0);
        line[n > 0 ? n : 0] = 0;
        if (!strncmp(line, "#!", 2)) {
            examine_script(l, file, depth, line + 2);
        }
    }
    close(fd);
}

/* The first folder on the way to a file, or the file, that other users than root may not use; NULL if they may use it. */
static char *closed_to_others(const char *file)
{
    static char path[PATH_MAX];
    struct stat s;
    snprintf(path, sizeof path, "%s", file);
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) {
            *slash = 0;
        }
        if (!stat(path, &s) && !(s.st_mode & (slash ? S_IXOTH : S_IROTH))) {
            return path;
        }
        if (!slash) {
            return NULL;
        }
        *slash = '/';
    }
}

/* Programs that hand what they are to start to another user, without the environment. */
static const char *const as_others[] = { "sudo", "doas", "pkexec", "run0", NULL };

/* Programs that become another user, or start their commands as one, when root starts them. */
static const char *const become_others[] = {
    "apt", "apt-get", "aptitude", "nala", "unattended-upgrade", "su", "runuser", "setpriv", "start-stop-daemon", "gosu", "chpst", NULL,
};

void look_at(struct look *l, const char *file, char *const *command)
{
    const char *closed;
    if (is_one_of(base(file), as_others)) {
        limit(l, "%s starts its command without LD_PRELOAD, so that nothing of it can be moved; write: %s midstream %s", base(file),
              base(file), command[0] && command[0][0] != '-' ? command[0] : "COMMAND");
        return;
    }
    examine(l, file, "", 0);
    if (geteuid() == 0 && is_one_of(base(file), become_others) && (closed = closed_to_others(l->library))) {
        limit(l, "%s is closed to other users, and %s becomes one, which then cannot open libmidstream.so or its core: " STAYS
                 " (chmod o+x, or make install, opens them)", closed, file);
    }
}
