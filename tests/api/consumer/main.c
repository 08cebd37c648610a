/* A program of somebody else: uses the macros and a little of each layer. */
#include <stdio.h>
#include <string.h>

#include <cede/cede.h>

static int
child(void *arg)
{
	int *count = arg;

	++*count;
	return cede_sleep(1);
}

static int
body(void *arg)
{
	int r;

	CEDE_GROUP(group);
	if ((r = cede_spawn(&group, child, arg)) < 0)
		return r;
	CEDE_TIMEOUT(5000) {
		r = cede_group_wait(&group);
	}
	return r;
}

int
main(void)
{
	int count = 0;
	int r = cede_run(body, &count);

	if (r < 0)
		fprintf(stderr, "consumer: %s\n", cede_strerror(r));
	return r < 0 || count != 1 || strcmp(cede_version(), CEDE_VERSION_STRING) != 0;
}
