/* Faults in C, and handlers that C has installed for itself. */

#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*callback)(int);

static int *volatile null;

void null_write(void)
{
	*null = 1;
}

void do_nothing(void)
{
}

void pause_in_c(void)
{
	for (;;)
		pause();
}

static void *faults(void *arg)
{
	null_write();
	return arg;
}

/* A thread of C that never calls in faults. */
void fault_on_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, faults, NULL) == 0)
		pthread_join(thread, NULL);
}

/* Write to a pipe that nobody reads. */
int write_broken_pipe(void)
{
	int fds[2];

	if (pipe(fds) != 0)
		return -1;
	close(fds[0]);
	return write(fds[1], "some data", 9);
}

static void install(int signum, void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	sigaction(signum, &action, NULL);
}

static void sayok(int signum)
{
	_exit(write(1, "OK\n", 3) == 3 ? 0 : signum);
}

/* From now on this signal ends the process with OK. */
void install_ok(int signum)
{
	install(signum, sayok);
}

static atomic_int seen;

static void recurse(int depth, char *above)
{
	char data[1024];

	memset(data, depth, sizeof data);
	*above = data[depth];
	if (depth > 0)
		recurse(depth - 1, data);
}

/* A handler that uses up much stack. */
static void count(int signum)
{
	char data[1024];

	recurse(16, data);
	seen++;
	(void)signum;
}

void install_count(int signum)
{
	install(signum, count);
}

int counted(void)
{
	return seen;
}

static sigjmp_buf before;

static void jump(int signum)
{
	siglongjmp(before, signum);
}

void install_jump(int signum)
{
	install(signum, jump);
}

/* Fault, and be brought back by the handler; which signal it was. */
int fault_and_jump(void)
{
	int signum = sigsetjmp(before, 1);

	if (signum == 0)
		null_write();
	return signum;
}

static void *raises(void *arg)
{
	pthread_kill(pthread_self(), *(int *)arg);
	return NULL;
}

/* The signal comes to a thread of C. */
void raise_on_thread(int signum)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, raises, &signum) == 0)
		pthread_join(thread, NULL);
}

static void *blocksall(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	((callback)arg)(0);
	return NULL;
}

/* fn(0) on a thread that blocks all signals, as threads of libraries often do. */
void call_with_signals_blocked(callback fn)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, blocksall, (void *)fn) == 0)
		pthread_join(thread, NULL);
}
