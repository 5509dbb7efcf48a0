/* The OCI runtime's `create`: enacts a bundle's plan and leaves init waiting. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BOOT_ID_BYTES = 36 };

static char *no_environment[] = { NULL };

static int enact(struct context *context, size_t index)
{
	struct step *step = &plan.steps[index];
	struct outcome *outcome = &context->shared->outcomes[index];
	const int64_t start = now_ns();
	const int error = step->operation->enact(context, step->args, step->count);
	/* After clone both processes come by here; the child's own answer is not the call's. */
	if (step->operation->enact != enact_clone || context->child != 0) {
		outcome->nanoseconds = now_ns() - start;
		outcome->error = error;
		outcome->done = 1;
	}
	return error;
}

enum { LINE_BYTES = DETAIL_BYTES + 96 };

static size_t report_line(const struct context *context, size_t index, char *line)
{
	const struct outcome *outcome = &context->shared->outcomes[index];
	const int size = snprintf(line, LINE_BYTES, "%zu %d %lld%s%s\n", index, (int)outcome->error, (long long)outcome->nanoseconds,
				  outcome->error && *context->shared->detail ? " " : "", outcome->error ? context->shared->detail : "");
	return (size_t)size;
}

/* In one write: a hundred short ones take longer than the mounts they tell of. */
static void write_report(const struct context *context)
{
	static char report[MAX_OPERATIONS * LINE_BYTES];
	size_t size = 0;
	for (size_t index = 0; index < plan.count; index++)
		if (context->shared->outcomes[index].done)
			size += report_line(context, index, report + size);
	(void)write_all(context->report, report, size);
}

static void complain(const struct context *context, size_t index)
{
	const struct step *step = &plan.steps[index];
	const int error = context->shared->outcomes[index].error;
	const char *detail = context->shared->detail;
	(void)dprintf(STDERR_FILENO, "dolly-init: cannot %s%s%.512s%s%.512s: %s%s%s\n", step->operation->name, step->count ? " " : "",
		      step->count ? step->args[0] : "", step->count > 1 ? " " : "", step->count > 1 ? step->args[1] : "",
		      strerror(error), *detail ? ": " : "", detail);
}

/* What the monitor ignores or blocks would be inherited by the command; the C library keeps its own two to itself. */
static void reset_signals(void)
{
	static const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} standard = { 0 };
	sigset_t none;
	sigemptyset(&none);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		(void)syscall(SYS_rt_sigaction, signal_number, &standard, NULL, sizeof standard.mask); /* EINVAL for SIGKILL, SIGSTOP */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void run_child(struct context *context, size_t index)
{
	/* If the runtime dies half-way nobody knows of this process. */
	(void)prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0, 0, 0);
	reset_signals();
	while (index < plan.count && enact(context, index) == 0)
		index++;
	const enact_fn failed = plan.steps[index].operation->enact;
	const int error = context->shared->outcomes[index].error;
	if (failed == enact_exec) {
		char line[LINE_BYTES];
		(void)write_all(context->report, line, report_line(context, index, line));
		complain(context, index);
	} else {
		(void)write_all(context->ready, "f", 1);
	}
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Field 22 of /proc/<pid>/stat: with the pid it names a process for ever. */
static unsigned long long start_time(pid_t pid)
{
	char text[1024];
	(void)snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
	const int fd = open(text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	const ssize_t size = read(fd, text, sizeof text - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	/* The name may hold anything, so the fields are counted from its closing parenthesis. */
	const char *field = strrchr(text, ')');
	for (int index = 0; field && index < 20; index++)
		field = strchr(field + 1, ' ');
	unsigned long long ticks = 0;
	return field && sscanf(field, "%llu", &ticks) == 1 ? ticks : 0;
}

/* Start times begin anew with each boot; random(4). */
static const char *boot_id(void)
{
	static char id[1 + BOOT_ID_BYTES + 1] = " ";
	const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (file < 0 || read(file, id + 1, BOOT_ID_BYTES) != BOOT_ID_BYTES)
		id[0] = '\0';
	if (file >= 0)
		close(file);
	return id;
}

static int finish(struct context *context, int pid_file, char said)
{
	char text[128];
	if (said == 'w') {
		write_report(context);
		const int size = snprintf(text, sizeof text, "%d %llu%s\n", (int)context->child, start_time(context->child), boot_id());
		if (write_all(pid_file, text, (size_t)size) == 0)
			return 0;
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot write the pid file\n");
	}
	(void)kill(context->child, SIGKILL);
	int status = 0;
	while (waitpid(context->child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (said == 'w')
		return EXIT_USAGE;
	write_report(context);
	for (size_t index = 0; index < plan.count; index++) {
		if (context->shared->outcomes[index].error) {
			complain(context, index);
			return EXIT_USAGE;
		}
	}
	(void)dprintf(STDERR_FILENO, "dolly-init: init died before it was ready (%s %d)\n",
		      WIFSIGNALED(status) ? "signal" : "exit status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return EXIT_USAGE;
}

static int run_parent(struct context *context, int pid_file)
{
	int ready[2];
	char said = 0;
	if (pipe2(ready, O_CLOEXEC)) {
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot make a pipe: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	context->ready = ready[1];
	for (size_t index = 0; index <= plan.clone; index++) {
		if (enact(context, index)) {
			write_report(context);
			complain(context, index);
			return EXIT_USAGE;
		}
	}
	if (context->child == 0)
		run_child(context, plan.clone + 1);
	close(ready[1]);
	ssize_t got;
	do
		got = read(ready[0], &said, 1);
	while (got < 0 && errno == EINTR);
	return finish(context, pid_file, said);
}

static int refuse(const char *path)
{
	(void)dprintf(STDERR_FILENO, "dolly-init: cannot open %s: %s\n", path, strerror(errno));
	return EXIT_USAGE;
}

int create_container(const char *bundle, const char *pid_file, const char *console_socket)
{
	static struct context context = { .sealed = -1, .console = -1, .environment = no_environment };
	char problem[DETAIL_BYTES];

	for (size_t index = 0; index < MAX_SLOTS; index++)
		context.slots[index] = -1;
	/* Processes of the container see this one in /proc before it is theirs: they may not look into it. */
	if (prctl(PR_SET_DUMPABLE, 0L, 0, 0, 0) || prctl(PR_SET_NAME, "dolly-init"))
		return refuse("/proc/self");
	const int directory = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return refuse(bundle);
	errno = plan_await(directory);
	if (errno)
		return refuse("plan");
	if (plan_read("plan", directory, problem, sizeof problem)) {
		(void)dprintf(STDERR_FILENO, "dolly-init: %s\n", problem);
		return EXIT_USAGE;
	}
	context.report = openat(directory, "report", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (context.report < 0)
		return refuse("report");
	const int pid_fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (pid_fd < 0)
		return refuse(pid_file);
	if (console_socket && (context.console = connect_unix(console_socket, SOCK_STREAM)) < 0)
		return refuse(console_socket);
	context.shared = mmap(NULL, sizeof *context.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (context.shared == MAP_FAILED)
		return refuse("the shared report");
	return run_parent(&context, pid_fd);
}
