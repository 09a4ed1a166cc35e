/* What the conformance tests of the C boundary share: one library, built once. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

typedef int (*callback)(int);

/* --- values there and back ------------------------------------------------------------- */

/* The sum of what `calls` calls of fn(0), fn(1), ... return. */
int call_many(callback fn, int calls)
{
	int sum = 0;

	for (int i = 0; i < calls; i++)
		sum += fn(i);
	return sum;
}

/* fn(text) with a string that C has made and that is gone when this returns. */
int call_with_string(int (*fn)(const char *, int), int n)
{
	char text[32] = "string passed to ";

	strcat(text, "Python");
	return fn(text, n);
}

/* Arguments of 32 and of 64 bits in turn; what the function makes of them. */
int64_t call_mixed(int64_t (*fn)(int32_t, uint64_t, int8_t, double), int32_t a, uint64_t b)
{
	return fn(a, b, -1, 0.5);
}

/* A handle that travels through C as the number it is. */
void call_with_handle(void (*fn)(uintptr_t), uintptr_t handle)
{
	fn(handle);
}

/* errno, from a function that returns nothing and from one that fails. */
void set_errno(int n)
{
	errno = n;
}

int fail_with(int n)
{
	errno = n;
	return -1;
}

/* As fail_with, after a callback that may have done anything. */
int fail_after(callback fn, int n)
{
	errno = n;
	fn(n);
	errno = n;
	return -1;
}

const char *get_environment(const char *name)
{
	return getenv(name);
}

static __thread int local;

void set_local(int n)
{
	local = n;
}

int get_local(void)
{
	return local;
}

/* Uses much of the stack, which it touches at both ends, and calls fn(arg) below that. */
__attribute__((noinline)) int call_deep(callback fn, int arg)
{
	volatile char data[256 * 1024];
	int result;

	data[0] = 0;
	result = fn(arg);
	data[sizeof data - 1] = 0;
	return result + data[0];
}

/* Whether the thread is the same before and after a callback. */
int same_thread(callback fn)
{
	long before = syscall(SYS_gettid);

	fn(0);
	return before == syscall(SYS_gettid);
}

/* --- being in C ------------------------------------------------------------------------ */

static atomic_int inside, gate;

void reset_gate(void)
{
	inside = 0;
	gate = 0;
}

int count_inside(void)
{
	return inside;
}

void open_gate(int n)
{
	gate = n;
}

/* Be in C until the gate has been opened that far. */
void wait_gate(int n)
{
	inside++;
	while (gate < n)
		usleep(200);
}

void burn(int milliseconds)
{
	struct timespec now;
	int64_t end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = now.tv_sec * 1000000000LL + now.tv_nsec + milliseconds * 1000000LL;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec * 1000000000LL + now.tv_nsec < end);
}

int sleep_and_call(callback fn, int microseconds)
{
	usleep(microseconds);
	return fn(microseconds);
}

/* In C, a callback, and in C again, each until the gate has been opened further. */
void in_and_out(callback fn)
{
	wait_gate(1);
	fn(2);
	wait_gate(3);
}

/* --- threads --------------------------------------------------------------------------- */

struct job {
	callback fn;
	int calls;
	int result;
	int stack; /* its own signal stack */
};

static void *work(void *arg)
{
	struct job *job = arg;

	job->result = call_many(job->fn, job->calls);
	return NULL;
}

/* `threads` threads that make `calls` calls each; the sum of all that was returned. */
int call_on_threads(callback fn, int threads, int calls)
{
	pthread_t ids[threads];
	struct job jobs[threads];
	int sum = 0;

	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){ .fn = fn, .calls = calls };
		if (pthread_create(&ids[i], NULL, work, &jobs[i]) != 0)
			abort();
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		sum += jobs[i].result;
	}
	return sum;
}

static void *callandwait(void *arg)
{
	((callback)arg)(1);
	wait_gate(1);
	((callback)arg)(2);
	wait_gate(2);
	return NULL;
}

/* A thread that calls in, waits for the gate in C, and does both once more. */
unsigned long start_in_and_out(callback fn)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, callandwait, (void *)fn) == 0 ? thread : 0;
}

static void *callandsleep(void *arg)
{
	if (arg != NULL)
		((callback)arg)(1);
	inside++;
	for (;;)
		sleep(1);
	return NULL;
}

/* A thread that calls in, if there is something to call, and is cancelled when it is back in C. */
int cancel_thread(callback fn)
{
	pthread_t thread;
	void *result;

	inside = 0;
	if (pthread_create(&thread, NULL, callandsleep, (void *)fn) != 0)
		return 0;
	while (inside == 0)
		usleep(100);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	return result == PTHREAD_CANCELED;
}

/* --- signals and stacks ---------------------------------------------------------------- */

int is_blocked(int signum)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&mask, signum);
}

static void *blocked(void *arg)
{
	struct job *job = arg;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGIO);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	job->result = job->fn(SIGIO) == 0 && is_blocked(SIGIO);
	return NULL;
}

/* A callback on a thread that blocks SIGIO; whether it is still blocked afterwards. */
int call_with_sigio_blocked(callback fn)
{
	struct job job = { .fn = fn };
	pthread_t thread;

	if (pthread_create(&thread, NULL, blocked, &job) != 0)
		return -1;
	pthread_join(thread, NULL);
	return job.result;
}

#define STACKSIZE (1 << 20)

static void *onsigstack(void *arg)
{
	struct job *job = arg;
	stack_t own = { .ss_sp = malloc(STACKSIZE), .ss_size = STACKSIZE }, now;

	if (job->stack && sigaltstack(&own, NULL) != 0)
		return NULL;
	job->result = job->fn(job->stack);
	if (sigaltstack(NULL, &now) != 0)
		job->result = -1;
	if (job->stack && ((now.ss_flags & SS_DISABLE) != 0 || now.ss_sp != own.ss_sp))
		job->result = -2;
	own.ss_flags = SS_DISABLE;
	if (job->stack)
		sigaltstack(&own, NULL);
	free(own.ss_sp);
	return NULL;
}

/* Threads in turn, without and with a signal stack of their own, which must stay theirs. */
int call_with_sigstack(callback fn)
{
	static const int turns[] = { 0, 1, 0, 1 };
	int sum = 0;

	for (unsigned i = 0; i < sizeof turns / sizeof *turns; i++) {
		struct job job = { .fn = fn, .stack = turns[i], .result = -3 };
		pthread_t thread;

		if (pthread_create(&thread, NULL, onsigstack, &job) != 0)
			return -4;
		pthread_join(thread, NULL);
		if (job.result < 0)
			return job.result;
		sum += job.result;
	}
	return sum;
}

static callback switched;
static ucontext_t back, other;

static void onotherstack(void)
{
	switched(1);
}

static void switchto(char *stack)
{
	getcontext(&other);
	other.uc_stack.ss_sp = stack;
	other.uc_stack.ss_size = STACKSIZE;
	other.uc_link = &back;
	makecontext(&other, onotherstack, 0);
	swapcontext(&back, &other);
}

static void *switching(void *arg)
{
	char *stacks = arg;

	switched(0);
	switchto(stacks);
	switchto(stacks + STACKSIZE);
	switched(0);
	return NULL;
}

static void *switchingtoo(void *arg)
{
	switchto((char *)arg + STACKSIZE / 2);
	return NULL;
}

/* Callbacks from stacks that C has switched to, on two threads; the second's overlaps the first's. */
void switch_stacks(callback fn)
{
	char *stacks = malloc(2 * STACKSIZE);
	pthread_t thread;

	switched = fn;
	if (pthread_create(&thread, NULL, switching, stacks) != 0)
		abort();
	pthread_join(thread, NULL);
	if (pthread_create(&thread, NULL, switchingtoo, stacks) != 0)
		abort();
	pthread_join(thread, NULL);
	free(stacks);
}
