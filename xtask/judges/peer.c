/*
 * Loaded into zo before it starts, for two things that OpenZFS's library lacks against its kernel module.
 *
 * Whose a file is only the module knows, and without somebody who says so the library does not write to datasets where
 * files were counted. Here, as in ozfs, nobody is accounted for any file.
 *
 * A dataset that is closed while it is upgraded waits for that in the module, where taskq_cancel_id waits for what cannot
 * be cancelled any more. The library's does not, and fails an assertion now and then.
 */
#include <sys/zfs_context.h>
#include <sys/dmu_objset.h>

static int account(dmu_object_type_t type, const void *bonus, zfs_file_info_t *info)
{
	(void) type, (void) bonus, (void) info;
	return (ENOENT);
}

__attribute__((constructor)) static void register_accounting(void)
{
	dmu_objset_register_type(DMU_OST_ZFS, account);
}

int taskq_cancel_id(taskq_t *queue, taskqid_t id)
{
	taskq_wait_id(queue, id);
	return (ENOENT);
}
