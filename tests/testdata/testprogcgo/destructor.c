/* A library whose destructor calls back: the last thing that happens in a process. */

#include <stddef.h>

typedef int (*callback)(int);

static callback registered;

void register_destructor(callback fn)
{
	registered = fn;
}

__attribute__((destructor)) static void destructor(void)
{
	if (registered != NULL)
		registered(1);
}
