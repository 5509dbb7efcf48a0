/* Resource limits of the process, getrlimit(2). */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static int limit_value(const char *text, rlim_t *value)
{
	uint64_t parsed = 0;
	if (strcmp(text, "unlimited") == 0) {
		*value = RLIM_INFINITY;
		return 0;
	}
	const int error = number(text, UINT64_MAX, &parsed);
	*value = (rlim_t)parsed;
	return error;
}

static int limit_named(struct context *context, const char *name, __rlimit_resource_t *resource)
{
	static const struct { const char *name; __rlimit_resource_t resource; } kinds[] = {
		{ "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU }, { "data", RLIMIT_DATA },
		{ "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS }, { "memlock", RLIMIT_MEMLOCK },
		{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO },
		{ "rttime", RLIMIT_RTTIME }, { "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
	};
	for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index++) {
		if (strcmp(kinds[index].name, name) == 0) {
			*resource = kinds[index].resource;
			return 0;
		}
	}
	say(context, "there is no such limit");
	return EINVAL;
}

static int set_limit(struct context *context, __rlimit_resource_t resource, const struct rlimit *limit)
{
	struct rlimit now;
	if (setrlimit(resource, limit) == 0)
		return 0;
	const int error = errno;
	if (error == EPERM && getrlimit(resource, &now) == 0)
		say(context, "the hard limit of the host is %llu and cannot be raised without CAP_SYS_RESOURCE",
		    (unsigned long long)now.rlim_max);
	return error;
}

/* name, hard: raised while the host's CAP_SYS_RESOURCE is held; a low limit would hinder what comes before the command. */
int enact_ceiling(struct context *context, char **args, size_t count)
{
	struct rlimit limit;
	__rlimit_resource_t resource = 0;
	rlim_t hard = 0;
	(void)count;
	if (limit_value(args[1], &hard))
		return EINVAL;
	const int error = limit_named(context, args[0], &resource);
	if (error)
		return error;
	if (getrlimit(resource, &limit))
		return errno;
	if (hard <= limit.rlim_max)
		return 0;
	limit.rlim_max = hard;
	return set_limit(context, resource, &limit);
}

/* name, soft, hard */
int enact_rlimit(struct context *context, char **args, size_t count)
{
	struct rlimit limit;
	__rlimit_resource_t resource = 0;
	(void)count;
	if (limit_value(args[1], &limit.rlim_cur) || limit_value(args[2], &limit.rlim_max))
		return EINVAL;
	const int error = limit_named(context, args[0], &resource);
	return error ? error : set_limit(context, resource, &limit);
}
