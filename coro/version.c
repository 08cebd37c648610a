#include <cede/version.h>

const char *
cede_version(void)
{
	return CEDE_VERSION_STRING;
}
