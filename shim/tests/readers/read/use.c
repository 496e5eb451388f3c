/* use.c: the manager's order, as a link has it. */
#include "network/use.c"

#include "read.h"

/* The folder is to be one that nobody else can write to: the test makes it. */
void read_use(void)
{
    struct use_order order;
    use_read_order(&order);
    bool costs;
    unsigned rank = use_rank(&order, input.name, 0, &costs);
    if (rank == USE_UNRANKED) {
        printf("no %d", costs);
    } else {
        printf("%u %d", rank, costs);
    }
}
