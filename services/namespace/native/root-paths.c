/* Paths inside the container's root, which its image has filled as it pleased. */
#define _GNU_SOURCE
#include "dolly-init.h"
#include "open-within.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Missing directories and links together; each costs a stack frame of two paths. */
enum { MAX_DEPTH = 64 };

int open_in_root(const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve };
	const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	const int fd = open_within(root, *path ? path : "/", &how);
	const int error = errno;
	close(root);
	errno = error;
	return fd;
}

static int make_entry(int parent, const char *name, enum target_kind kind)
{
	if (kind == TARGET_DIRECTORY)
		return mkdirat(parent, name, 0755);
	const int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -1;
	return close(fd);
}

static int make_target(const char *path, enum target_kind kind, uint64_t resolve, int depth);

/* The entry exists but leads nowhere: a dangling link, whose own target is made instead. */
static int make_behind_link(int parent, const char *name, const char *directory, enum target_kind kind, uint64_t resolve, int depth)
{
	char link[PATH_BYTES / 2], path[PATH_BYTES];
	const ssize_t length = readlinkat(parent, name, link, sizeof link - 1);
	if (length < 0 || resolve || depth == 0) {
		errno = length < 0 ? EEXIST : ELOOP;
		return -1;
	}
	link[length] = '\0';
	const int size = *link == '/' ? snprintf(path, sizeof path, "%s", link) : snprintf(path, sizeof path, "%s/%s", directory, link);
	if (size < 0 || (size_t)size >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return make_target(path, kind, resolve, depth - 1);
}

static int make_target(const char *path, enum target_kind kind, uint64_t resolve, int depth)
{
	char directory[PATH_BYTES];
	if (depth == 0 || strlen(path) >= sizeof directory) {
		errno = depth == 0 ? ELOOP : ENAMETOOLONG;
		return -1;
	}
	strcpy(directory, path);
	char *slash = strrchr(directory, '/');
	if (!slash || !slash[1]) {
		errno = EINVAL;
		return -1;
	}
	*slash = '\0';
	const char *name = path + (slash - directory) + 1;
	int parent = open_in_root(directory, O_PATH | O_DIRECTORY, resolve);
	if (parent < 0 && errno == ENOENT && *directory && make_target(directory, TARGET_DIRECTORY, resolve, depth - 1) == 0)
		parent = open_in_root(directory, O_PATH | O_DIRECTORY, resolve);
	if (parent < 0)
		return -1;
	int made = make_entry(parent, name, kind);
	if (made && errno == EEXIST)
		made = make_behind_link(parent, name, directory, kind, resolve, depth);
	const int error = errno;
	close(parent);
	errno = error;
	return made;
}

int open_target(const char *path, enum target_kind kind, bool plain)
{
	const uint64_t resolve = plain ? RESOLVE_NO_SYMLINKS : 0;
	int fd = open_in_root(path, O_PATH, resolve);
	if (fd >= 0 || errno != ENOENT || kind == TARGET_EXISTING)
		return fd;
	if (make_target(path, kind, resolve, MAX_DEPTH))
		return -1;
	return open_in_root(path, O_PATH, resolve);
}
