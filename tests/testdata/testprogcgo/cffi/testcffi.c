#include <pthread.h>

static int from_c(int);

static void *callin(void *arg)
{
	*(int *)arg = from_c(*(int *)arg);
	return arg;
}

static int call_from_c_thread(int arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, callin, &arg) != 0)
		return -1;
	pthread_join(thread, NULL);
	return arg;
}
