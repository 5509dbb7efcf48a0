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

enum { MAX_FILE_BYTES = 1 << 20, MAX_GROUPS = 256, MAX_FIELDS = 7 };

struct identity {
	uint64_t uid;
	uint64_t gid;
	gid_t groups[MAX_GROUPS];
	size_t group_count;
	char name[DETAIL_BYTES];
	char home[PATH_BYTES];
};

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

/* Splits the next line at colons; answers the number of fields, 0 at the end. */
static size_t next_entry(char **cursor, char **fields)
{
	char *line = *cursor;
	size_t count = 0;
	if (!line || !*line)
		return 0;
	char *end = strchr(line, '\n');
	*cursor = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	while (line && count < MAX_FIELDS) {
		fields[count++] = line;
		line = strchr(line, ':');
		if (line)
			*line++ = '\0';
	}
	return count;
}

static int find_user(struct context *context, const char *user, struct identity *who)
{
	char *cursor = file_bytes, *fields[MAX_FIELDS];
	const bool numeric = number(user, UINT32_MAX - 1, &who->uid) == 0;
	const int error = read_database("/etc/passwd");
	if (error)
		return error;
	for (size_t count; (count = next_entry(&cursor, fields)) > 0;) {
		uint64_t uid = 0, gid = 0;
		if (count < 6 || number(fields[2], UINT32_MAX - 1, &uid) || number(fields[3], UINT32_MAX - 1, &gid))
			continue;
		if (strcmp(fields[0], user) != 0 && !(numeric && uid == who->uid))
			continue;
		who->uid = uid;
		who->gid = gid;
		(void)snprintf(who->name, sizeof who->name, "%s", fields[0]);
		(void)snprintf(who->home, sizeof who->home, "%s", fields[5]);
		return 0;
	}
	if (numeric)
		return 0;
	say(context, "the container's /etc/passwd has no user \"%.64s\"", user);
	return ESRCH;
}

static bool lists(char *members, const char *name)
{
	const size_t length = strlen(name);
	for (char *member = members; member; member = strchr(member, ',') ? strchr(member, ',') + 1 : NULL)
		if (strncmp(member, name, length) == 0 && (member[length] == ',' || member[length] == '\0'))
			return true;
	return false;
}

/* A named or numbered group replaces the user's own and its further ones, as in Docker. */
static int find_groups(struct context *context, const char *group, struct identity *who)
{
	char *cursor = file_bytes, *fields[MAX_FIELDS];
	uint64_t gid = 0;
	const bool numeric = group && number(group, UINT32_MAX - 1, &gid) == 0;
	const int error = read_database("/etc/group");
	if (error)
		return error;
	if (numeric)
		who->gid = gid;
	for (size_t count; !numeric && (count = next_entry(&cursor, fields)) > 0;) {
		if (count < 3 || number(fields[2], UINT32_MAX - 1, &gid))
			continue;
		if (group && strcmp(fields[0], group) == 0) {
			who->gid = gid;
			return 0;
		}
		if (!group && count > 3 && *who->name && lists(fields[3], who->name) && who->group_count < MAX_GROUPS)
			who->groups[who->group_count++] = (gid_t)gid;
	}
	if (!group || numeric)
		return 0;
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
