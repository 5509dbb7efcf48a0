/* Reads a plan: NUL-terminated strings, for each operation its name, its argument count and its arguments. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GIVEN_UP_CHECK_MS = 1000 };

struct plan plan;

static char *strings[MAX_STRINGS];

static int malformed(char *problem, size_t size, const char *what, size_t offset)
{
	(void)snprintf(problem, size, "malformed plan: %s at byte %zu", what, offset);
	return EINVAL;
}

/* The string that begins at *offset; the caller has made sure that the last byte of the plan is NUL. */
static char *next_string(char *bytes, size_t size, size_t *offset)
{
	if (*offset >= size)
		return NULL;
	char *string = bytes + *offset;
	*offset += strlen(string) + 1;
	return string;
}

int plan_parse(char *bytes, size_t size, char *problem, size_t problem_size)
{
	size_t offset = 0, used = 0;
	bool cloned = false;

	plan.count = 0;
	if (size == 0 || bytes[size - 1] != '\0')
		return malformed(problem, problem_size, "no terminating NUL", size);
	while (offset < size) {
		const size_t start = offset;
		uint64_t count = 0;
		const struct operation *operation = operation_named(next_string(bytes, size, &offset));
		if (!operation)
			return malformed(problem, problem_size, "unknown operation", start);
		const char *counted = next_string(bytes, size, &offset);
		if (!counted || number(counted, MAX_STRINGS, &count))
			return malformed(problem, problem_size, "bad argument count", start);
		if (count < operation->least || count > operation->most)
			return malformed(problem, problem_size, "wrong number of arguments", start);
		if (plan.count == MAX_OPERATIONS || used + count + 1 > MAX_STRINGS)
			return malformed(problem, problem_size, "too many operations or arguments", start);
		struct step *step = &plan.steps[plan.count];
		*step = (struct step){ .operation = operation, .args = &strings[used], .count = (size_t)count };
		for (uint64_t index = 0; index < count; index++) {
			strings[used] = next_string(bytes, size, &offset);
			if (!strings[used++])
				return malformed(problem, problem_size, "missing arguments", start);
		}
		strings[used++] = NULL;
		if (operation->enact == enact_clone) {
			if (cloned)
				return malformed(problem, problem_size, "a second clone", start);
			cloned = true;
			plan.clone = plan.count;
		}
		plan.count++;
	}
	if (!cloned)
		return malformed(problem, problem_size, "no clone", size);
	if (plan.steps[plan.count - 1].operation->enact != enact_exec)
		return malformed(problem, problem_size, "no exec at the end", size);
	if (plan.clone + 2 >= plan.count || plan.steps[plan.count - 2].operation->enact != enact_wait)
		return malformed(problem, problem_size, "no wait before the exec", size);
	return 0;
}

/* Whoever gives a launch up removes its bundle, perhaps before this program could be told from others. */
static bool is_removed(int directory)
{
	struct stat status;
	return fstat(directory, &status) == 0 && status.st_nlink == 0;
}

/* The monitor may be started before the plan is there. Answers 0 or an errno. */
int plan_await(int directory)
{
	char said = 0;
	ssize_t got = 0;
	struct pollfd waker = { .events = POLLIN };

	if (faccessat(directory, "plan", F_OK, 0) == 0)
		return 0;
	/* Nonblocking: with nobody left to write, opening would wait for ever. */
	waker.fd = openat(directory, PLAN_FIFO, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (waker.fd < 0)
		return errno;
	while ((got = read(waker.fd, &said, 1)) < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (poll(&waker, 1, GIVEN_UP_CHECK_MS) == 0 && is_removed(directory))
			got = 0;
		if (got == 0)
			break;
	}
	const int error = got < 0 ? errno : got == 0 ? ECANCELED : 0;
	close(waker.fd);
	return error;
}

int plan_read(const char *path, int directory, char *problem, size_t size)
{
	struct stat status;
	const int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0 || fstat(fd, &status)) {
		error = errno;
		(void)snprintf(problem, size, "cannot read %s: %s", path, strerror(error));
	} else if (!S_ISREG(status.st_mode) || status.st_size <= 0 || status.st_size > MAX_PLAN_BYTES) {
		error = malformed(problem, size, "a plan is a file of 1 to 4194304 bytes; it ends", (size_t)status.st_size);
	} else {
		/* Private and writable: arguments are split in place, the file stays as it is. */
		char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, fd, 0);
		if (bytes == MAP_FAILED) {
			error = errno;
			(void)snprintf(problem, size, "cannot map %s: %s", path, strerror(error));
		} else {
			error = plan_parse(bytes, (size_t)status.st_size, problem, size);
		}
	}
	if (fd >= 0)
		close(fd);
	return error;
}
