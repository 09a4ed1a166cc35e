//go:build cgo

package main

/*
#include <pthread.h>
#include <unistd.h>

int goSame(int);

struct job { int calls; long sum; };

static void *loop(void *arg)
{
	struct job *job = arg;
	for (int i = 0; i < job->calls; i++)
		job->sum += goSame(i);
	return 0;
}

// One thread after the other, each with that many calls. The sum of the results, or -1.
static long threads(int threads, int calls)
{
	struct job job = { calls, 0 };
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, 0, loop, &job))
			return -1;
		pthread_join(thread, 0);
	}
	return job.sum;
}
*/
import "C"

import "time"

//export goSame
func goSame(value C.int) C.int { return value }

func callbackOneThread(n int) figures {
	watch := start()
	if int(C.threads(1, C.int(n))) != n*(n-1)/2 {
		fail("wrong sum")
	}
	return one(watch.sample(n))
}

func callbackManyThreads(n int) figures {
	watch := start()
	if C.threads(C.int(n), 1) != 0 {
		fail("wrong sum")
	}
	return one(watch.sample(n))
}

func sleepInC(d time.Duration) { C.usleep(C.useconds_t(d.Microseconds())) }
