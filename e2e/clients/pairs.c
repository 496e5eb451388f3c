/*
 * pairs: starts a command over and over, by turns natively, with a preloaded library and by a launcher, and prints how
 * long each run took, in nanoseconds: three numbers a line.
 *
 *     pairs RUNS LIBRARY LAUNCHER COMMAND [ARG…]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t run(const char *path, char **argv, char **envp)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    pid_t pid = vfork();
    if (!pid) {
        execve(path, argv, envp);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (status) {
        fprintf(stderr, "pairs: %s ended with wait status %d\n", path, status);
        exit(1);
    }
    return (b.tv_sec - a.tv_sec) * INT64_C(1000000000) + b.tv_nsec - a.tv_nsec;
}

/* The command's path as execvp would find it; looking it up is no part of what is measured. */
static const char *find(const char *name)
{
    static char path[4096];
    const char *search = getenv("PATH");
    if (strchr(name, '/') || !search)
        return name;
    while (*search) {
        size_t length = strcspn(search, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)length, search, name);
        if (!access(path, X_OK))
            return path;
        search += length + (search[length] == ':');
    }
    return name;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: pairs RUNS LIBRARY LAUNCHER COMMAND [ARG...]\n");
        return 2;
    }
    const char *path = find(argv[4]);
    FILE *out = fdopen(dup(1), "w");
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, 1);
    size_t count = 0;
    while (environ[count])
        count++;
    char **preloaded = calloc(count + 2, sizeof *preloaded);
    if (!out || !preloaded)
        return 1;
    memcpy(preloaded, environ, count * sizeof *preloaded);
    if (asprintf(&preloaded[count], "LD_PRELOAD=%s", argv[2]) < 0)
        return 1;
    char **launched = argv + 2;
    launched[0] = argv[3];
    launched[1] = (char *)"--";
    for (int i = atoi(argv[1]), warm = 3; i > 0; i -= warm ? 0 : 1, warm -= warm > 0) {
        int64_t native = run(path, argv + 4, environ);
        int64_t library = run(path, argv + 4, preloaded);
        int64_t launcher = run(launched[0], launched, environ);
        if (!warm)
            fprintf(out, "%lld %lld %lld\n", (long long)native, (long long)library, (long long)launcher);
    }
    return fclose(out) != 0;
}
