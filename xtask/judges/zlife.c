/*
 * zlife: what a life needs of OpenZFS in user space beside zo and ozfs, through the same library (Debian's libzpool):
 * the numbers that zfs list shows, names, holds, marks for destruction, bookmarks.
 *
 *   zlife numbers DIR POOL           each dataset and snapshot, a line each: its name and PROPERTY=NUMBER, divided by tabs
 *   zlife rename DIR FS NEW          zlife rename DIR FS@SNAPSHOT NEW
 *   zlife hold DIR FS@SNAPSHOT TAG   zlife release DIR FS@SNAPSHOT TAG
 *   zlife defer DIR FS@SNAPSHOT      marks a snapshot that goes with its last clone and hold
 *   zlife unmark DIR FS#BOOKMARK     destroys a bookmark
 *
 * Built by `cargo xtask life`. A failure exits with the errno; the pool is exported all the same.
 */
#include <sys/zfs_context.h>
#include <sys/spa.h>
#include <sys/spa_impl.h>
#include <sys/dmu.h>
#include <sys/dmu_objset.h>
#include <sys/dsl_dataset.h>
#include <sys/dsl_dir.h>
#include <sys/dsl_destroy.h>
#include <sys/dsl_bookmark.h>
#include <sys/dsl_userhold.h>
#include <sys/fs/zfs.h>
#include <libzutil.h>
#include <libnvpair.h>

static void check(const char *what, int err)
{
	if (err == 0)
		return;
	fprintf(stderr, "zlife: %s: %s\n", what, strerror(err));
	_exit(err > 0 && err < 255 ? err : 255);
}

extern char *spa_config_path;

static char *pool_of(const char *name)
{
	char *pool = strdup(name);
	pool[strcspn(pool, "/@#")] = '\0';
	return (pool);
}

/* As in peer.c. */
static int account(dmu_object_type_t type, const void *bonus, zfs_file_info_t *info)
{
	(void) type, (void) bonus, (void) info;
	return (ENOENT);
}

static void open_pool(char *dir, const char *target, int readonly)
{
	nvlist_t *config, *props = NULL;
	importargs_t args = { 0 };
	char *paths[1] = { dir };
	libpc_handle_t handle = { .lpc_lib_handle = NULL, .lpc_ops = &libzpool_config_ops, .lpc_printerr = B_TRUE };

	spa_config_path = "/nonexistent/zpool.cache";
	dmu_objset_register_type(DMU_OST_ZFS, account);
	kernel_init(readonly ? SPA_MODE_READ : (SPA_MODE_READ | SPA_MODE_WRITE));
	args.path = paths;
	args.paths = 1;
	args.can_be_active = B_TRUE;
	check("find pool", zpool_find_config(&handle, pool_of(target), &config, &args));
	if (readonly) {
		props = fnvlist_alloc();
		fnvlist_add_uint64(props, "readonly", 1);
	}
	check("import", spa_import(pool_of(target), config, props,
	    readonly ? ZFS_IMPORT_SKIP_MMP : ZFS_IMPORT_NORMAL));
}

/* One dataset's line. What is hidden is left out, as zfs list leaves it out. */
static int print_numbers(const char *name, void *arg)
{
	objset_t *os;
	nvlist_t *stats;
	nvpair_t *pair = NULL;

	(void) arg;
	if (strchr(name, '%') != NULL || strchr(name, '$') != NULL)
		return (0);
	check(name, dmu_objset_hold(name, FTAG, &os));
	stats = fnvlist_alloc();
	dmu_objset_stats(os, stats);
	printf("%s", name);
	while ((pair = nvlist_next_nvpair(stats, pair)) != NULL) {
		nvlist_t *property;
		uint64_t value;
		if (nvpair_value_nvlist(pair, &property) == 0 && nvlist_lookup_uint64(property, "value", &value) == 0)
			printf("\t%s=%llu", nvpair_name(pair), (u_longlong_t)value);
	}
	printf("\n");
	fnvlist_free(stats);
	dmu_objset_rele(os, FTAG);
	return (0);
}

static nvlist_t *holds(const char *snapshot, const char *tag, int is_release)
{
	nvlist_t *list = fnvlist_alloc(), *tags = fnvlist_alloc();
	if (!is_release) {
		fnvlist_add_string(list, snapshot, tag);
		return (list);
	}
	fnvlist_add_boolean(tags, tag);
	fnvlist_add_nvlist(list, snapshot, tags);
	return (list);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: see the source\n");
		return (2);
	}
	char *command = argv[1], *dir = argv[2], *target = argv[3];
	const char *last = argc > 4 ? argv[4] : "";
	nvlist_t *errors = fnvlist_alloc(), *list = fnvlist_alloc();
	int is_numbers = strcmp(command, "numbers") == 0;
	open_pool(dir, target, is_numbers);
	if (is_numbers) {
		check("list", dmu_objset_find(target, print_numbers, NULL, DS_FIND_CHILDREN | DS_FIND_SNAPSHOTS));
		fflush(stdout);
		_exit(0);
	}
	int err = 0;
	if (strcmp(command, "rename") == 0 && strchr(target, '@') != NULL) {
		char *at = strchr(target, '@');
		*at = '\0';
		err = dsl_dataset_rename_snapshot(target, at + 1, last, B_FALSE);
	} else if (strcmp(command, "rename") == 0) {
		err = dsl_dir_rename(target, last);
	} else if (strcmp(command, "hold") == 0) {
		err = dsl_dataset_user_hold(holds(target, last, 0), 0, errors);
	} else if (strcmp(command, "release") == 0) {
		err = dsl_dataset_user_release(holds(target, last, 1), errors);
	} else if (strcmp(command, "defer") == 0) {
		err = dsl_destroy_snapshot(target, B_TRUE);
	} else if (strcmp(command, "unmark") == 0) {
		fnvlist_add_boolean(list, target);
		err = dsl_bookmark_destroy(list, errors);
	} else {
		fprintf(stderr, "unknown %s\n", command);
		return (2);
	}
	check("export", spa_export(pool_of(target), NULL, B_TRUE, B_FALSE));
	kernel_fini();
	check(command, err);
	return (0);
}
