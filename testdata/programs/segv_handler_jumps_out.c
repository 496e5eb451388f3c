/* The program's SIGSEGV, SIGBUS and SIGFPE handlers get its faults after a GET. */
#include "observe.h"

static sigjmp_buf back;
static volatile void *where;
static volatile int number;

static void handler(int signal_number, siginfo_t *info, void *unused)
{
    (void)unused;
    where = info->si_addr;
    number = signal_number;
    siglongjmp(back, 1);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    for (volatile int i = 0; i < 3; i++) {
        volatile char *bad = (volatile char *)(uintptr_t)(4096 * (i + 1));
        if (sigsetjmp(back, 1) == 0)
            *bad = 1;
        say("signal %d at %p\n", number, (void *)where);
        if (sigsetjmp(back, 1) == 0)
            raise(SIGFPE);
        say("signal %d\n", number);
        FILE *file = tmpfile();
        volatile char *beyond = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
        if (sigsetjmp(back, 1) == 0)
            say("%d\n", *beyond);
        say("signal %d, at the page %d\n", number, where == beyond);
        fclose(file);
        fetch("/fixed/1000");
    }
    return 0;
}
