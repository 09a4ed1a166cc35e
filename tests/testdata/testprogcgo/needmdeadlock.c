/* Signals that hit a thread while it calls in for the first time. */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define SIGNALLERS 8
#define CALLS 10

typedef int (*callback)(int);

static atomic_int ready; /* signallers that have begun */

static void *calls(void *fn)
{
	while (ready < SIGNALLERS)
		sched_yield();
	for (int i = 0; i < CALLS; i++)
		((callback)fn)(i);
	return NULL;
}

static void *signals(void *target)
{
	ready++;
	for (int i = 0; i < 100; i++) {
		pthread_kill(*(pthread_t *)target, SIGCHLD);
		usleep(1);
	}
	return NULL;
}

void call_under_signals(callback fn)
{
	pthread_t caller, signallers[SIGNALLERS];

	ready = 0;
	pthread_create(&caller, NULL, calls, (void *)fn);
	for (int i = 0; i < SIGNALLERS; i++)
		pthread_create(&signallers[i], NULL, signals, &caller);
	/* The caller is joined last: a thread that was not joined can be signalled. */
	for (int i = 0; i < SIGNALLERS; i++)
		pthread_join(signallers[i], NULL);
	pthread_join(caller, NULL);
}
