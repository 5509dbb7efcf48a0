/* Who the process is: user and groups by the container's own files. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 20 };

static char file_bytes[MAX_FILE_BYTES + 1];

/* Reads a regular file of the root whole; a FIFO or device planted there must not block or act. */
static int read_database(const char *path)
{
	struct stat status;
	size_t size = 0;
	ssize_t got = 0;
	const int fd = open_in_root(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	file_bytes[0] = '\0';
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : errno;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		while (size < MAX_FILE_BYTES && (got = read(fd, file_bytes + size, MAX_FILE_BYTES - size)) > 0)
			size += (size_t)got;
	close(fd);
	file_bytes[size] = '\0';
	return 0;
}

static int find_user(struct context *context, const char *user, struct identity *who)
{
	const int error = read_database("/etc/passwd");
	if (error || user_in(file_bytes, user, who))
		return error;
	say(context, "the container's /etc/passwd has no user \"%.64s\"", user);
	return ESRCH;
}

static int find_groups(struct context *context, const char *group, struct identity *who)
{
	const int error = read_database("/etc/group");
	if (error || groups_in(file_bytes, group, who))
		return error;
	say(context, "the container's /etc/group has no group \"%.64s\"", group);
	return ESRCH;
}

/* So that the user may open /dev/stdout again, which is the pipe or terminal that root made. */
static int own_stdio(uid_t uid)
{
	struct stat status, null;
	const bool has_null = stat("/dev/null", &null) == 0;
	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &status) || status.st_uid == uid || (has_null && status.st_rdev == null.st_rdev && S_ISCHR(status.st_mode)))
			continue;
		if (fchown(fd, uid, (gid_t)-1) && errno != EINVAL && errno != EPERM && errno != EROFS)
			return errno;
	}
	return 0;
}

/* user[:group], keep|drop, further group ids */
int enact_user(struct context *context, char **args, size_t count)
{
	static struct identity who;
	char *group = strchr(args[0], ':');
	const char *user = *args[0] && args[0] != group ? args[0] : "0";
	uint64_t gid = 0;

	if (group)
		*group++ = '\0';
	(void)snprintf(who.home, sizeof who.home, "/");
	int error = find_user(context, user, &who);
	if (!error)
		error = find_groups(context, group && *group ? group : NULL, &who);
	for (size_t index = 2; !error && index < count && who.group_count < MAX_GROUPS; index++) {
		error = number(args[index], UINT32_MAX - 1, &gid);
		who.groups[who.group_count++] = (gid_t)gid;
	}
	if (error)
		return error;
	context->drop = strcmp(args[1], "drop") == 0;
	/* Without this the kernel clears every capability when the last user id stops being 0. */
	if (prctl(PR_SET_KEEPCAPS, context->drop ? 0L : 1L, 0, 0, 0))
		return errno;
	error = who.uid == 0 ? 0 : own_stdio((uid_t)who.uid);
	if (error)
		return error;
	const gid_t effective = (gid_t)who.gid;
	if (setgroups(who.group_count, who.groups) || setresgid(effective, effective, effective)
	    || setresuid((uid_t)who.uid, (uid_t)who.uid, (uid_t)who.uid))
		return errno;
	set_home(context, who.home);
	/* Whoever is in the container already may be the same user: until execve this memory is not theirs to read. */
	return prctl(PR_SET_DUMPABLE, 0L, 0, 0, 0) ? errno : 0;
}
