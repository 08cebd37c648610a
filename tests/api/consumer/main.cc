// The same in C++11, which has destructors where C has CEDE_GROUP.
#include <cstdio>
#include <cstring>

#include <cede/cede.h>
#include <cede/uv.h>

namespace
{

struct group {
	cede_group_t g;
	group()
	{
		cede_group_init(&g);
	}
	~group()
	{
		cede_group_leave(&g);
	}
};

int
child(void *arg)
{
	++*static_cast<int *>(arg);
	return cede_sleep(1);
}

int
body(void *arg)
{
	group tasks;
	int r = cede_spawn(&tasks.g, child, arg);

	return r < 0 ? r : cede_group_wait(&tasks.g);
}

} // namespace

int
main()
{
	int count = 0;
	int r = cede_run(body, &count);

	if (r < 0)
		std::fprintf(stderr, "consumer: %s\n", cede_strerror(r));
	return r < 0 || count != 1 || std::strcmp(cede_version(), CEDE_VERSION_STRING) != 0;
}
