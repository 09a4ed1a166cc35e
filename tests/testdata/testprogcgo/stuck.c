/* C that does not come back. It says `ready` itself, so that who hears it knows where it is. */

#include <unistd.h>

volatile int stuck = 0;

static void ready(void) {
	if (write(1, "ready\n", 6) == 6)
		stuck++;
}

/* Computes for ever. */
void spin(void) {
	for (ready();;)
		stuck++;
}

/* Sleeps for ever, through every signal. */
void sleep_on(void) {
	for (ready();;)
		pause();
}
