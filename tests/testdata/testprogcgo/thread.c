/* Threads that C makes and that call in; most programs of this folder use nothing else. */

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef int (*callback)(int);

struct job {
	pthread_t thread;
	callback fn;
	int arg;
	int calls;
	int sum; /* of what the calls returned */
};

static void *work(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < job->calls; i++)
		job->sum += job->fn(job->arg);
	return NULL;
}

/* A thread that makes `calls` calls of fn(arg). Give the result to join_thread. */
struct job *start_thread(callback fn, int arg, int calls)
{
	struct job *job = calloc(1, sizeof *job);

	if (job == NULL)
		return NULL;
	job->fn = fn;
	job->arg = arg;
	job->calls = calls;
	if (pthread_create(&job->thread, NULL, work, job) != 0) {
		free(job);
		return NULL;
	}
	return job;
}

/* Wait for the end of the thread; the sum of what its calls returned. */
int join_thread(struct job *job)
{
	int sum;

	pthread_join(job->thread, NULL);
	sum = job->sum;
	free(job);
	return sum;
}

/* One call of fn(arg) on a new thread; return when that thread has ended. */
int call_on_new_thread(callback fn, int arg)
{
	return join_thread(start_thread(fn, arg, 1));
}

/* One call of fn(arg) on the thread of the caller. */
int call_here(callback fn, int arg)
{
	return fn(arg);
}

static void *callforever(void *arg)
{
	for (;;) {
		((callback)arg)(0);
		usleep(100);
	}
	return NULL;
}

/* A thread that calls fn(0) again and again until the process is gone. */
int start_forever(callback fn)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, callforever, (void *)fn);

	return err != 0 ? err : pthread_detach(thread);
}

struct pair {
	void (*first)(void *);
	void *arg;
	callback second;
	int result;
};

static void *calltwo(void *arg)
{
	struct pair *pair = arg;

	pair->first(pair->arg);
	pair->result = pair->second(0);
	return NULL;
}

/* first(arg), then second(0), both on one new thread; what the second returned. */
int call_two(void (*first)(void *), void *arg, callback second)
{
	struct pair pair = { first, arg, second, 0 };
	pthread_t thread;

	if (pthread_create(&thread, NULL, calltwo, &pair) != 0)
		return -1;
	pthread_join(thread, NULL);
	return pair.result;
}

static void *worklate(void *arg)
{
	usleep(300000);
	return work(arg);
}

/* A thread that waits 0.3 seconds and calls fn(arg) then; nothing shows that it will. */
int start_late(callback fn, int arg)
{
	static struct job job;

	job.fn = fn;
	job.arg = arg;
	job.calls = 1;
	return pthread_create(&job.thread, NULL, worklate, &job);
}

static volatile int stopped;
static pthread_t until;

static void *calluntil(void *arg)
{
	int calls = 0;

	for (; !stopped; usleep(200))
		calls += ((callback)arg)(calls) != 0;
	return NULL;
}

/* A thread that calls fn, with how often that has not returned 0, until stop_and_join. */
int start_until(callback fn)
{
	return pthread_create(&until, NULL, calluntil, (void *)fn);
}

/* As a library has it for its own end: the call that is in progress is waited for. */
int stop_and_join(void)
{
	stopped = 1;
	return pthread_join(until, NULL);
}
