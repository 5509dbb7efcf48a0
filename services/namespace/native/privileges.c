/* What the process may do: capabilities, no_new_privs, system call filter. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_FILTER = 4096 };

int enact_bounding(struct context *context, char **args, size_t count)
{
	uint64_t keep = 0;
	(void)context, (void)count;
	if (number(args[0], UINT64_MAX, &keep))
		return EINVAL;
	for (unsigned long capability = 0; capability < 64; capability++) {
		if (keep >> capability & 1)
			continue;
		const int present = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
		if (present < 0)
			break; /* beyond the last capability that this kernel knows */
		if (present > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
			return errno;
	}
	return 0;
}

static int raise_ambient(uint64_t ambient)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return errno;
	for (unsigned long capability = 0; capability < 64; capability++)
		if ((ambient >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
			return errno;
	return 0;
}

/* effective, permitted, inheritable, ambient; a set can only shrink, so what is not permitted now is left out. */
int enact_capabilities(struct context *context, char **args, size_t count)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t sets[4] = { 0 };
	(void)context;
	for (size_t index = 0; index < count; index++)
		if (number(args[index], UINT64_MAX, &sets[index]))
			return EINVAL;
	if (syscall(SYS_capget, &header, data))
		return errno;
	const uint64_t permitted = ((uint64_t)data[1].permitted << 32 | data[0].permitted) & sets[1];
	for (size_t half = 0; half < 2; half++) {
		const unsigned int shift = half ? 32 : 0;
		data[half].permitted = (uint32_t)(permitted >> shift);
		data[half].effective = (uint32_t)((permitted & sets[0]) >> shift);
		data[half].inheritable = (uint32_t)((permitted & sets[2]) >> shift);
	}
	if (syscall(SYS_capset, &header, data))
		return errno;
	return raise_ambient(sets[3] & permitted & sets[2]);
}

int enact_no_new_privileges(struct context *context, char **args, size_t count)
{
	(void)context, (void)args, (void)count;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? errno : 0;
}

/* The slot holds a compiled filter: an array of struct sock_filter. */
int enact_seccomp(struct context *context, char **args, size_t count)
{
	static struct sock_filter filter[MAX_FILTER];
	int fd = -1;
	(void)count;
	const int error = slot_of(context, args[0], &fd);
	if (error)
		return error;
	const ssize_t size = pread(fd, filter, sizeof filter, 0);
	if (size < 0)
		return errno;
	if (size == 0 || (size_t)size % sizeof *filter) {
		say(context, "the filter is not a whole number of instructions");
		return EINVAL;
	}
	struct sock_fprog program = { .len = (unsigned short)((size_t)size / sizeof *filter), .filter = filter };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? errno : 0;
}
