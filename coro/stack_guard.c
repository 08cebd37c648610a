/*
 * Guards: memory below a stack that faults when it is touched.
 *
 * Lightweight guards (MADV_GUARD_INSTALL, Linux 6.13) live in the page table: a
 * million of them split no mapping. Whether they work must be tried, not asked:
 * qemu-user answers 0 and installs nothing, older kernels answer EINVAL, and so
 * does any kernel for locked memory. So a probe installs one and lets the
 * kernel read from it: only EFAULT is a guard.
 *
 * Where they do not work, mprotect does the same at two mappings a stack, until
 * the system's limit (vm.max_map_count, 65,530) refuses, at about 32,700 stacks.
 *
 * Invariants
 * - A mapping starts inaccessible. It becomes accessible as a whole only once a
 *   lightweight guard was installed in it; otherwise slot by slot, above the
 *   guard. No order of failures leaves a stack that can be used and is not
 *   guarded.
 * - Inaccessible first also means that mlockall(MCL_FUTURE), under which the
 *   lightweight kind is refused, does not make a whole new slab resident.
 * - A guard survives MADV_DONTNEED: memory given back stays guarded.
 */
#include "coro/stack_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_STACK
#define MAP_STACK 0
#endif

/* Newer than most systems' headers; fixed by the kernel's ABI. */
#define GUARD_INSTALL 102

struct cede__stack_sys cede__stack_sys = {
	.mmap = mmap,
	.munmap = munmap,
	.madvise = madvise,
	.mprotect = mprotect,
	.write = write,
};

enum { UNKNOWN, WORKS, FAILS };

/* What the probe found. Two threads may both probe; they find the same. */
static atomic_int light_guards = UNKNOWN;

void
cede__guard_forget(void)
{
	atomic_store(&light_guards, UNKNOWN);
}

size_t
cede__page_size(void)
{
	static atomic_size_t cached;
	size_t size = atomic_load_explicit(&cached, memory_order_relaxed);

	if (size == 0) {
		size = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&cached, size, memory_order_relaxed);
	}
	return size;
}

#ifdef __linux__
/*
 * Lets the kernel read 8 bytes at `page`. Without a guard they are zero, and
 * adding zero to an eventfd does nothing. UNKNOWN when there is no descriptor.
 */
static int
try_reading(const void *page)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return UNKNOWN;

	ssize_t n = cede__stack_sys.write(fd, page, 8);
	int found = n < 0 && errno == EFAULT ? WORKS : FAILS;

	close(fd);
	return found;
}

static int
probe(void)
{
	size_t bytes = cede__page_size();
	void *page = cede__stack_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return UNKNOWN;

	int found = FAILS;
	if (cede__stack_sys.madvise(page, bytes, GUARD_INSTALL) == 0)
		found = try_reading(page);

	cede__stack_sys.munmap(page, bytes);
	return found;
}
#else
static int
probe(void)
{
	return FAILS;
}
#endif

/* UNKNOWN is not remembered: what was lacking may be there next time. */
static int
has_light_guards(void)
{
	int found = atomic_load_explicit(&light_guards, memory_order_relaxed);

	if (found == UNKNOWN) {
		found = probe();
		atomic_store_explicit(&light_guards, found, memory_order_relaxed);
	}
	return found == WORKS;
}

int
cede__guard_map(size_t bytes, size_t guard, void **ret_base, enum cede__guard *ret_guard)
{
	void *base = cede__stack_sys.mmap(NULL, bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return CEDE_ENOMEM;

#ifdef MADV_NOHUGEPAGE
	/* One touched byte must not cost 2 MiB. A kernel without huge pages refuses, rightly. */
	(void)cede__stack_sys.madvise(base, bytes, MADV_NOHUGEPAGE);
#endif

	/* The first slot's guard shows that this very mapping takes them: a locked one does not. */
	enum cede__guard kind = CEDE__GUARD_PROTECT;
	if (has_light_guards() && cede__stack_sys.madvise(base, guard, GUARD_INSTALL) == 0)
		kind = CEDE__GUARD_LIGHT;

	if (kind == CEDE__GUARD_LIGHT &&
		cede__stack_sys.mprotect(base, bytes, PROT_READ | PROT_WRITE) < 0) {
		cede__stack_sys.munmap(base, bytes);
		return CEDE_ENOMEM;
	}

	*ret_base = base;
	*ret_guard = kind;
	return 0;
}

int
cede__guard_open(enum cede__guard kind, void *slot, size_t guard, size_t usable)
{
	int rc;

	if (kind == CEDE__GUARD_PROTECT)
		rc = cede__stack_sys.mprotect((char *)slot + guard, usable, PROT_READ | PROT_WRITE);
	else
		rc = cede__stack_sys.madvise(slot, guard, GUARD_INSTALL);

	/* Memory that was locked after it was mapped refuses from then on. */
	if (rc < 0 && kind == CEDE__GUARD_LIGHT)
		rc = cede__stack_sys.mprotect(slot, guard, PROT_NONE);

	return rc < 0 ? CEDE_ENOMEM : 0;
}

int
cede__guard_drop(void *addr, size_t bytes)
{
	return cede__stack_sys.madvise(addr, bytes, MADV_DONTNEED);
}

int
cede__guard_unmap(void *base, size_t bytes)
{
	return cede__stack_sys.munmap(base, bytes);
}
