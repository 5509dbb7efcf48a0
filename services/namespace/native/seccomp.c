/* dolly-seccomp FILE: compiles rules of standard input to the kernel's filter. Run once for each set of rules, never for a container. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <inttypes.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINE = 512, MAX_ARGUMENTS = 6, EXIT_USAGE = 125 };

/* A hundred times what the default profile takes: a profile is anyone's, and libseccomp's time grows with the square of a call's rules. */
enum { MOST_SECONDS = 5, MOST_MEMORY = 256 << 20 };

static int add_arch(scmp_filter_ctx context, const char *name)
{
	const uint32_t arch = seccomp_arch_resolve_name(name);
	if (arch == 0)
		return -EINVAL;
	const int error = seccomp_arch_add(context, arch);
	return error == -EEXIST ? 0 : error;
}

/* `rule ACTION NAME [INDEX OPERATOR VALUE VALUE]…`; a call that this library does not know is left to the default. */
static int add_rule(scmp_filter_ctx context, const char *line)
{
	struct scmp_arg_cmp arguments[MAX_ARGUMENTS];
	unsigned int count = 0, index = 0, operator = 0;
	uint32_t action = 0;
	uint64_t first = 0, second = 0;
	char name[64];
	int used = 0, more = 0;

	if (sscanf(line, "rule %" SCNu32 " %63s%n", &action, name, &used) != 2)
		return -EINVAL;
	while (sscanf(line + used, " %u %u %" SCNu64 " %" SCNu64 "%n", &index, &operator, &first, &second, &more) == 4) {
		if (count == MAX_ARGUMENTS || index >= MAX_ARGUMENTS)
			return -EINVAL;
		arguments[count++] = (struct scmp_arg_cmp){ index, (enum scmp_compare)operator, first, second };
		used += more;
	}
	const int number = seccomp_syscall_resolve_name(name);
	return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(context, action, number, count, arguments);
}

/*
 * For 32-bit x86 libseccomp turns a rule for socket(2) into one for socketcall(2) as well, without its conditions:
 * the arguments are behind a pointer. What is said of socketcall itself is therefore decided before all else.
 */
static int decide_socketcall(int fd, uint32_t action)
{
	enum { I386_SOCKETCALL = 102 };
	const struct sock_filter first[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, I386_SOCKETCALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
	};
	return write(fd, first, sizeof first) == (ssize_t)sizeof first ? 0 : -errno;
}

static int refuse(const char *what, int error)
{
	(void)dprintf(STDERR_FILENO, "dolly-seccomp: cannot %s: %s\n", what, strerror(error < 0 ? -error : error));
	return EXIT_USAGE;
}

static int read_rules(scmp_filter_ctx context, char *line, int fd)
{
	char arch[32];
	uint32_t action = 0;
	int error = 0;
	while (!error && fgets(line, MAX_LINE, stdin)) {
		if (line[strcspn(line, "\n")] != '\n')
			return -E2BIG;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "socketcall %" SCNu32, &action) == 1)
			error = decide_socketcall(fd, action);
		else
			error = sscanf(line, "arch %31s", arch) == 1 ? add_arch(context, arch) : add_rule(context, line);
	}
	return error;
}

static void give_up(int signal_number)
{
	static const char reason[] = "dolly-seccomp: it is too large: it takes more than 5 s of a processor\n";
	(void)signal_number;
	_exit(write(STDERR_FILENO, reason, sizeof reason - 1) > 0 ? EXIT_USAGE : EXIT_USAGE + 1);
}

static int bound(void)
{
	const struct rlimit time = { MOST_SECONDS, MOST_SECONDS + 1 }, memory = { MOST_MEMORY, MOST_MEMORY };
	const struct sigaction tell = { .sa_handler = give_up };
	if (sigaction(SIGXCPU, &tell, NULL) || setrlimit(RLIMIT_CPU, &time))
		return errno;
#ifdef __SANITIZE_ADDRESS__
	/* Its shadow is terabytes of addresses. */
	return (void)memory, 0;
#else
	return setrlimit(RLIMIT_AS, &memory) ? errno : 0;
#endif
}

static int write_filter(scmp_filter_ctx context, int fd)
{
	struct stat status;
	const int error = seccomp_export_bpf(context, fd);
	if (error)
		return error;
	/* Else the kernel's refusal would be each container's. */
	if (fstat(fd, &status))
		return errno;
	if ((size_t)status.st_size > BPF_MAXINSNS * sizeof(struct sock_filter))
		return EFBIG;
	/* It is kept for every later container: half of it after a power loss would refuse them all. */
	return fsync(fd) || close(fd) ? errno : 0;
}

int main(int argc, char **argv)
{
	char line[MAX_LINE] = "";
	uint32_t action = 0;
	int error = bound();
	if (error)
		return refuse("limit itself", error);
	if (argc != 2 || !fgets(line, sizeof line, stdin) || sscanf(line, "default %" SCNu32, &action) != 1)
		return refuse("begin: give a file, and \"default ACTION\" first", EINVAL);
	const scmp_filter_ctx context = seccomp_init(action);
	if (!context)
		return refuse("use this default action", EINVAL);
	const int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse("open its file", errno);
	/* A binary tree: half a dozen comparisons a call instead of some hundreds. */
	error = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!error)
		error = read_rules(context, line, fd);
	if (error)
		return refuse(line, error);
	error = write_filter(context, fd);
	seccomp_release(context);
	return error ? refuse("write the filter", error) : 0;
}
