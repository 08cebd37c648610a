/*
 * A plug-in that uses the library is unloaded before the threads that used it end: a
 * thread has been left a destructor, which must still be there.
 *
 * usage: unload LIBCEDE
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <cede/loop.h>

static int
body(void *arg)
{
	*(int *)arg = 7;
	return 0;
}

static void *
use(void *arg)
{
	void *library = dlopen(arg, RTLD_NOW | RTLD_LOCAL);
	int (*run)(cede_fn * fn, void *arg);
	void *symbol = library ? dlsym(library, "cede_run") : NULL;
	int seen = 0;

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		return NULL;
	}
	memcpy(&run, &symbol, sizeof run);
	if (run(body, &seen) == 0 && seen == 7 && dlclose(library) == 0)
		return arg;
	return NULL;
}

int
main(int argc, char **argv)
{
	for (int i = 0; i < 3; i++) {
		pthread_t thread;
		void *result;

		if (argc < 2 || pthread_create(&thread, NULL, use, argv[1]) != 0)
			return 2;
		pthread_join(thread, &result);
		if (!result)
			return 1;
	}
	return 0;
}
