/* Enacts the plan of a container: shared declarations. */
#ifndef DOLLY_INIT_H
#define DOLLY_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	MAX_PLAN_BYTES = 4 << 20,
	MAX_OPERATIONS = 512,
	MAX_STRINGS = 1 << 16,
	MAX_SLOTS = 128,
	DETAIL_BYTES = 256,
	PATH_BYTES = 4096,
};

enum { EXIT_USAGE = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct operation;

/* What an operation works on; outlives clone, so parent and child each have their own copy. */
struct context {
	int slots[MAX_SLOTS];
	int sealed;       /* a program of the host to run instead of one of the container's, or -1 */
	int console;      /* connected to conmon's console socket, or -1 */
	int ready;        /* the child's end of the pipe on which it says that it waits */
	int report;
	pid_t child;      /* as clone answered it */
	bool drop;        /* give up every capability when the user is not root */
	char **environment;
	char program[PATH_BYTES];
	struct shared *shared;
};

struct outcome {
	int32_t error;
	int32_t done;
	int64_t nanoseconds;
};

/* Written by both processes; the parent reads it after the child has spoken or died. */
struct shared {
	struct outcome outcomes[MAX_OPERATIONS];
	char detail[DETAIL_BYTES];
};

/* Answers 0 or an errno. */
typedef int (*enact_fn)(struct context *context, char **args, size_t count);

struct operation {
	const char *name;
	size_t least;
	size_t most;
	enact_fn enact;
};

struct step {
	const struct operation *operation;
	char **args; /* followed by NULL, as execve wants it */
	size_t count;
};

struct plan {
	struct step steps[MAX_OPERATIONS];
	size_t count;
	size_t clone; /* index of the operation after which the child goes on alone */
};

extern struct plan plan;

const struct operation *operation_named(const char *name);
/* In the bundle: written to when a plan came after its monitor. */
#define PLAN_FIFO "plan.fifo"

/* Splits the bytes in place; the plan points into them. */
int plan_parse(char *bytes, size_t size, char *problem, size_t problem_size);
int plan_await(int directory);
int plan_read(const char *path, int directory, char *problem, size_t size);

int create_container(const char *bundle, const char *pid_file, const char *console_socket);
int attach_terminal(const char *socket_path);
/* The spawner's: stays open in it, for runtimes to find. Answers 0 or an errno. */
int make_bare_namespace(const char *bundles);
/* The directory of bundles, then cgroups; before them, if conmon shall be loaded ahead, `--preload`, it and the library. */
int spawn_monitors(char **args);
int seal_self(char **argv);
/* Answers a descriptor of a copy in memory that nobody can write to, or -1. */
int sealed_copy(int program);

int64_t now_ns(void);
int write_all(int fd, const void *data, size_t size);
int connect_unix(const char *path, int type);
int number(const char *text, uint64_t most, uint64_t *value);
int slot_index(const char *text, size_t *index);
int slot_of(const struct context *context, const char *text, int *fd);
void say(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Opens a path of the container's root without leaving it or following magic links. */
enum target_kind { TARGET_EXISTING, TARGET_DIRECTORY, TARGET_FILE };
int open_in_root(const char *path, uint64_t flags, uint64_t resolve);
int open_target(const char *path, enum target_kind kind, bool plain);
int copy_tree(int directory, const char *path, unsigned int flags, int *slot);
int attributes_of(const char *text, uint64_t *set, uint64_t *clear);
int bind_tree(int tree, int target, uint64_t set, uint64_t clear);
int open_mount_target(struct context *context, const char *path, enum target_kind kind, const char *mode, int *fd);
int make_mount(struct context *context, const char *type, const char *source, uint64_t attributes, char *options, int *mount);

int enact_open(struct context *, char **, size_t);
int enact_fifo(struct context *, char **, size_t);
int enact_write(struct context *, char **, size_t);
int enact_proc_write(struct context *, char **, size_t);
int enact_owner(struct context *, char **, size_t);
int enact_enter(struct context *, char **, size_t);
int enact_bare(struct context *, char **, size_t);
int enact_unshare(struct context *, char **, size_t);
int enact_clone(struct context *, char **, size_t);
int enact_root(struct context *, char **, size_t);
int enact_stdio(struct context *, char **, size_t);

int enact_session(struct context *, char **, size_t);
int enact_keyring(struct context *, char **, size_t);
int enact_hostname(struct context *, char **, size_t);
int enact_domainname(struct context *, char **, size_t);
int enact_ceiling(struct context *, char **, size_t);
int enact_rlimit(struct context *, char **, size_t);
int enact_umask(struct context *, char **, size_t);
int enact_mkdir(struct context *, char **, size_t);
int enact_directory(struct context *, char **, size_t);
int enact_symlink(struct context *, char **, size_t);

int enact_propagation(struct context *, char **, size_t);
int enact_tree(struct context *, char **, size_t);
int enact_tree_beneath(struct context *, char **, size_t);
int enact_idmap(struct context *, char **, size_t);
int enact_file_system(struct context *, char **, size_t);
int enact_node(struct context *, char **, size_t);
int enact_bind(struct context *, char **, size_t);
int enact_mount(struct context *, char **, size_t);
int enact_remount(struct context *, char **, size_t);
int enact_pivot(struct context *, char **, size_t);
int enact_mask_source(struct context *, char **, size_t);
int enact_mask(struct context *, char **, size_t);
int enact_readonly(struct context *, char **, size_t);

int enact_console(struct context *, char **, size_t);
int enact_user(struct context *, char **, size_t);
int enact_bounding(struct context *, char **, size_t);
int enact_capabilities(struct context *, char **, size_t);
int enact_no_new_privileges(struct context *, char **, size_t);
int enact_seccomp(struct context *, char **, size_t);

int enact_env(struct context *, char **, size_t);
int enact_cwd(struct context *, char **, size_t);
int enact_cloexec(struct context *, char **, size_t);
int enact_resolve(struct context *, char **, size_t);
int enact_wait(struct context *, char **, size_t);
int enact_exec(struct context *, char **, size_t);
int enact_program(struct context *, char **, size_t);

void set_home(struct context *context, const char *home);

/* Who a process becomes. */
enum { MAX_GROUPS = 256 };
struct identity {
	uint64_t uid;
	uint64_t gid;
	gid_t groups[MAX_GROUPS];
	size_t group_count;
	char name[DETAIL_BYTES];
	char home[PATH_BYTES];
};

/* Whether the text of the database has them, or they are numbers; without a group, those that list the user. */
bool user_in(char *text, const char *user, struct identity *who);
bool groups_in(char *text, const char *group, struct identity *who);

#endif
