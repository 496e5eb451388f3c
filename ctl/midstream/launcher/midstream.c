/*
 * midstream.c: starts a program under Midstream. It sets LD_PRELOAD and the configuration, and becomes the program. Before
 * that it looks whether the program is one that Midstream can reach (look.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "display.h"
#include "look.h"
#include "reach.h"

static const char usage[] =
    "usage: midstream [--config FILE] [--log LEVEL] [--strict] [--aggregate] [--reach=auto|all|off]\n"
    "                 [--tls=hook|ca] [--] COMMAND [ARG…]\n"
    "\n"
    "Runs COMMAND so that its HTTP downloads can be moved, while they run, to another\n"
    "network interface and another server: see midstreamctl --help. Its exit status is\n"
    "that of COMMAND.\n"
    "\n"
    "  --config FILE   the configuration; otherwise MIDSTREAM_CONFIG, else\n"
    "                  $XDG_CONFIG_HOME/midstream/config.toml, else\n"
    "                  /etc/midstream/config.toml, else built-in defaults\n"
    "  --log LEVEL     off, error, warn, info, debug or trace: what is logged to\n"
    "                  MIDSTREAM_LOG_FILE, by default <pid>.log beside the control socket\n"
    "  --strict        refuse to start a program that Midstream cannot reach (setuid,\n"
    "                  another architecture); otherwise it is only told\n"
    "  --aggregate     let all networks feed each download together (aggregate.enabled)\n"
    "  --reach=auto    have the connections of a static or a Go program, which cannot be\n"
    "                  preloaded, carried by midstream-supervisor; all: whatever COMMAND\n"
    "                  is, and for all that it starts; off: never. Unless root starts it,\n"
    "                  su and sudo cannot work inside\n"
    "  --tls=hook      follow TLS where its library can be reached; ca: and end it, where it\n"
    "                  cannot (Go, Java), by a certificate authority made for this run, which\n"
    "                  COMMAND, and all that it starts, trusts by its environment. Then\n"
    "                  midstream-supervisor verifies servers, in their place, by the\n"
    "                  system's certificates; it sees all in the clear; HTTP/2 is not\n"
    "                  used; programs that pin certificates fail once for each host\n"
    "  --version       print which version this is\n"
    "\n"
    "Exit status before COMMAND runs: 2 wrong usage or configuration, 125 incomplete\n"
    "installation, 126 COMMAND cannot be executed or is refused, 127 it is not found.\n";

#ifndef MIDSTREAM_VERSION
#define MIDSTREAM_VERSION "unreleased"
#endif
/* Where the libraries are installed, seen from the folder above this program's; the Makefile's LIBDIR. */
#ifndef LIBRARY_FOLDER
#define LIBRARY_FOLDER "lib/midstream"
#endif

static const char *const levels[] = { "off", "error", "warn", "info", "debug", "trace", NULL };

__attribute__((format(printf, 2, 3), noreturn)) static void die(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    display_line(format, arguments);
    va_end(arguments);
    exit(status);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    display_line(format, arguments);
    va_end(arguments);
}

static void set(const char *name, const char *value)
{
    if (setenv(name, value, 1)) {
        die(125, "cannot set %s: %s", name, strerror(errno));
    }
}

static void set_level(const char *level)
{
    for (const char *const *l = levels; *l; l++) {
        if (!strcmp(level, *l)) {
            set("MIDSTREAM_LOG", level);
            return;
        }
    }
    die(2, "--log %s: there is no such level; use off, error, warn, info, debug or trace", level);
}

static void set_config(const char *file)
{
    if (!*file) {
        die(2, "--config names no file; see midstream --help");
    }
    set("MIDSTREAM_CONFIG", file);
}

/* Whether the argument is this option; its value goes to *value, and the place behind both to *at. */
static bool is_option(char ***at, const char *name, const char **value)
{
    char **argument = *at;
    size_t length = strlen(name);
    if (strncmp(*argument, name, length) || ((*argument)[length] && (*argument)[length] != '=')) {
        return false;
    }
    if ((*argument)[length]) {
        *value = *argument + length + 1;
        *at = argument + 1;
    } else if (argument[1]) {
        *value = argument[1];
        *at = argument + 2;
    } else {
        die(2, "%s needs an argument; see midstream --help", name);
    }
    return true;
}

enum wanted { REACH_AUTO, REACH_ALL, REACH_OFF };

static enum wanted read_reach(const char *value)
{
    static const char *const names[] = { "auto", "all", "off" };
    for (int i = 0; i < 3; i++) {
        if (!strcmp(value, names[i])) {
            return (enum wanted)i;
        }
    }
    die(2, "--reach=%s: use auto, all or off", value);
}

/* Whether TLS is ended here (tls.reach). */
static bool read_tls(const char *value)
{
    if (strcmp(value, "hook") && strcmp(value, "ca")) {
        die(2, "--tls=%s: use hook or ca", value);
    }
    return *value == 'c';
}

/* The folder that this program is in: the build tree, or bin below the folder that LIBRARY_FOLDER is seen from. */
static void own_folder(char *folder)
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (n <= 0) { /* there is no /proc */
        const char *name = (const char *)getauxval(AT_EXECFN);
        if (!name || !realpath(name, folder)) {
            die(125, "cannot tell where midstream is: there is no /proc");
        }
        n = (ssize_t)strlen(folder);
    }
    folder[n] = 0;
    *strrchr(folder, '/') = 0;
}

/* The versions of the control program and of the libraries are midstreamctl's to tell, as is what runs another one. */
__attribute__((noreturn)) static void tell_versions(void)
{
    char folder[PATH_MAX], control[PATH_MAX];
    puts("midstream " MIDSTREAM_VERSION);
    fflush(stdout);
    own_folder(folder);
    if (snprintf(control, sizeof control, "%s/midstreamctl", folder) < PATH_MAX) {
        execl(control, control, "--version", (char *)NULL);
    }
    die(125, "%s/midstreamctl cannot be started: build or install Midstream again", folder);
}

/* What the options ask for. */
struct wishes {
    bool strict, only_look;
    enum wanted reach;
    bool tls_said, authority; /* --tls; and that it, or the configuration, asks for an authority */
    bool refuses_quic;        /* tls.http3 */
};

/* Takes the options; returns where the command begins. */
static char **options(char **at, struct wishes *wishes)
{
    const char *value;
    while (*at && **at == '-') {
        if (is_option(&at, "--config", &value)) {
            set_config(value);
        } else if (is_option(&at, "--log", &value)) {
            set_level(value);
        } else if (is_option(&at, "--reach", &value)) {
            wishes->reach = read_reach(value);
        } else if (is_option(&at, "--tls", &value)) {
            wishes->authority = read_tls(value);
            wishes->tls_said = true;
        } else if (!strcmp(*at, "--strict")) {
            wishes->strict = true;
            at++;
        } else if (!strcmp(*at, "--aggregate")) { /* aggregate.enabled, for this program */
            setenv("MIDSTREAM_AGGREGATE", "always", 1);
            at++;
        } else if (!strcmp(*at, "--look")) { /* for midstreamctl doctor */
            wishes->only_look = true;
            at++;
        } else if (!strcmp(*at, "--version")) {
            tell_versions();
        } else if (!strcmp(*at, "--help") || !strcmp(*at, "-h")) {
            fputs(usage, stdout);
            exit(0);
        } else if (!strcmp(*at, "--")) {
            return at + 1;
        } else {
            die(2, "there is no option %s; see midstream --help", *at);
        }
    }
    return at;
}

static void find_library(const char *folder, char *library)
{
    if (snprintf(library, PATH_MAX, "%s/libmidstream.so", folder) >= PATH_MAX) {
        die(125, "the path of %s is too long", folder);
    }
    if (access(library, F_OK)) {
        int above = LIBRARY_FOLDER[0] == '/' ? 0 : (int)(strrchr(folder, '/') - folder) + 1;
        int n = snprintf(library, PATH_MAX, "%.*s" LIBRARY_FOLDER "/libmidstream.so", above, folder);
        if (n >= PATH_MAX || access(library, R_OK)) {
            die(125, "there is no libmidstream.so in %s or %.*s" LIBRARY_FOLDER ": build or install Midstream again", folder, above, folder);
        }
    } else if (access(library, R_OK)) {
        die(125, "%s cannot be read: build or install Midstream again", library);
    }
    if (strpbrk(library, " :")) {
        die(125, "%s cannot be preloaded, for LD_PRELOAD takes no path with a blank or a colon: move Midstream elsewhere", library);
    }
}

static bool exists(const char *folder, const char *file)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, file) < PATH_MAX && !access(path, F_OK);
}

/* Whether there is a configuration that has to be checked. */
static bool is_configured(void)
{
    const char *config = getenv("MIDSTREAM_CONFIG"), *home = getenv("XDG_CONFIG_HOME");
    char path[PATH_MAX];
    if (config && *config) {
        return true;
    }
    if (home && *home == '/') {
        snprintf(path, sizeof path, "%s", home);
    } else {
        home = getenv("HOME");
        snprintf(path, sizeof path, "%s/.config", home ? home : "");
    }
    return exists(path, "midstream/config.toml") || exists("/etc", "midstream/config.toml");
}

/* MIDSTREAM_CONFIG has to hold in whatever folder the program goes to. */
static void make_absolute(void)
{
    const char *config = getenv("MIDSTREAM_CONFIG"), *logical = getenv("PWD");
    char folder[PATH_MAX], path[PATH_MAX + 4096];
    struct stat a, b;
    if (!config || !*config || *config == '/') {
        return;
    }
    if (logical && *logical == '/' && !stat(logical, &a) && !stat(".", &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        snprintf(path, sizeof path, "%s/%s", logical, config);
    } else if (getcwd(folder, sizeof folder)) {
        snprintf(path, sizeof path, "%s/%s", folder, config);
    } else {
        die(2, "--config %s: the present folder cannot be found", config);
    }
    set("MIDSTREAM_CONFIG", path);
}

/* To which ports connections are carried, unless reach.ports says otherwise (core/config/reach.go); and how long that may be. */
#define DEFAULT_PORTS "80,443,1024-65535"
#define PORTS_MAX 1024

/* Whether a line stands in the section that begins with `section`. */
static bool has_line(const char *section, const char *line)
{
    const char *next = section ? strstr(section, "\n[") : NULL, *at = section ? strstr(section, line) : NULL;
    return at && (!next || at < next);
}

/* What `midstreamctl config` has printed of reach.ports, tls.reach and tls.http3. */
static void find_reach(char *text, char *ports, struct wishes *wishes)
{
    const char *tls = strstr(text, "[tls]\n");
    wishes->authority = wishes->authority || (!wishes->tls_said && has_line(tls, "\nreach = \"ca\"\n"));
    wishes->refuses_quic = has_line(tls, "\nhttp3 = \"refuse\"\n");
    char *line = strstr(text, "[reach]\nports = \""), *end;
    if (line && (end = strchr(line += 17, '"')) && end - line < PORTS_MAX) {
        *end = 0;
        strcpy(ports, line);
    }
}

/* Reads a pipe to its end; what does not fit is dropped. */
static size_t read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    char rest[512];
    for (ssize_t n;;) {
        n = length < size ? read(fd, text + length, size - length) : read(fd, rest, sizeof rest);
        if (!n || (n < 0 && errno != EINTR)) {
            return length;
        }
        length += n > 0 && length < size ? (size_t)n : 0;
    }
}

/*
 * Has the configuration checked by who knows it; the complaint is midstreamctl's. Where that cannot even run, for want of memory
 * or processes, the core cannot either: the program is started as it is.
 */
static void check_configuration(const char *folder, char *ports, struct wishes *wishes)
{
    char control[PATH_MAX], complaint[4096], text[16384];
    int status = 0, errors[2], output[2];
    make_absolute();
    if (!is_configured()) {
        return;
    }
    if (snprintf(control, sizeof control, "%s/midstreamctl", folder) >= PATH_MAX || access(control, X_OK)) {
        die(125, "%s/midstreamctl is missing: build or install Midstream again", folder);
    }
    if (pipe2(errors, O_CLOEXEC)) {
        return;
    }
    if (pipe2(output, O_CLOEXEC)) {
        close(errors[0]);
        close(errors[1]);
        return;
    }
    pid_t child = fork();
    if (!child) {
        dup2(output[1], 1);
        dup2(errors[1], 2);
        execl(control, control, "config", (char *)NULL);
        die(125, "%s: %s", control, strerror(errno));
    }
    close(output[1]);
    close(errors[1]);
    text[read_all(output[0], text, sizeof text - 1)] = 0;
    size_t length = read_all(errors[0], complaint, sizeof complaint); /* a pipe holds more than it ever says */
    close(output[0]);
    close(errors[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) && length > 9 && !memcmp(complaint, "midstream", 9)) {
        fwrite(complaint, 1, length, stderr);
        exit(WEXITSTATUS(status) == 125 ? 125 : 2);
    }
    find_reach(text, ports, wishes);
}

/* Puts the library first, unless it is there. */
static void preload(const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    size_t length = strlen(library);
    for (const char *at = before; at && (at = strstr(at, library)); at++) {
        bool begins = at == before || strchr(" :", at[-1]), ends = !at[length] || strchr(" :", at[length]);
        if (begins && ends) {
            return;
        }
    }
    char *all = NULL;
    if (asprintf(&all, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0) {
        die(125, "out of memory");
    }
    set("LD_PRELOAD", all);
    free(all);
}

/* A file without a first line that names an interpreter is a script of the shell's, unless it is a damaged program. */
static bool is_text(const char *file)
{
    char first[5] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, first, 4) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return n >= 0 && strcmp(first, "\177ELF") != 0;
}

/* As execvp(3) does; with the statuses of a shell. */
__attribute__((noreturn)) static void become(const char *file, char **command)
{
    execv(file, command);
    if (errno == ENOEXEC && is_text(file)) {
        execvp(file, command);
    }
    int error = errno;
    bool missing = error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
    die(missing ? 127 : 126, "%s: %s", *command, strerror(error));
}

/* Starts the supervisor where it is wanted, and says what it means. Whether connections are carried; else reach->why, where they should be. */
static bool carry(struct reach *reach, const struct look *look, enum wanted wanted)
{
    if (wanted == REACH_OFF || (wanted == REACH_AUTO && !look->carried && !reach->authority) || !reach_begin(reach)) {
        return false;
    }
    if (reach->authority && reach->without[0]) {
        tell("TLS is not ended: %s", reach->without);
    } else if (reach->authority) {
        tell("midstream-supervisor ends TLS that cannot be followed otherwise: it verifies servers in the place of these programs, and sees all in the clear "
             "(--tls=hook)");
    }
    if (reach->confined) {
        tell("connections are carried by midstream-supervisor, under which su and sudo cannot work (--reach=off)");
    }
    return true;
}

int main(int count, char **arguments)
{
    static struct look look;
    char folder[PATH_MAX], library[PATH_MAX], found[PATH_MAX], ports[PORTS_MAX] = DEFAULT_PORTS;
    struct wishes wishes = { .reach = REACH_AUTO };
    char **command = count ? options(arguments + 1, &wishes) : arguments;
    if (!*command) {
        fputs(usage, stderr);
        return 2;
    }
    own_folder(folder);
    find_library(folder, library);
    check_configuration(folder, ports, &wishes);
    if (wishes.authority && wishes.reach == REACH_OFF && wishes.tls_said) {
        die(2, "--tls=ca needs a supervisor, which --reach=off forbids");
    }
    int status = look_find(*command, found);
    if (status) {
        die(status, status == 126 ? "%s: permission denied" : "%s: not found", *command);
    }
    look.library = library;
    look_at(&look, found, command + 1);
    if (wishes.only_look) {
        bool stands = look.limit[0] && !(look.carried && wishes.reach != REACH_OFF);
        if (stands) {
            tell("%s", look.limit);
        }
        return stands;
    }
    struct reach reach = { .library = library, .ports = ports, .authority = wishes.authority, .refuses_quic = wishes.refuses_quic };
    bool serves = !look.limit[0] || look.carried, carried = (serves || !wishes.strict) && carry(&reach, &look, wishes.reach) && serves;
    if (look.limit[0] && !carried && wishes.strict) {
        die(126, "%s; not started, because of --strict", look.limit);
    }
    if (look.limit[0] && !carried) {
        tell(reach.why[0] ? "%s, and not carried: %s; started as it is" : "%s; started as it is", look.limit, reach.why);
    } else if (reach.why[0]) {
        tell("connections are not carried: %s", reach.why);
    }
    if (!look.breaks) {
        preload(library);
    }
    become(found, command);
}
