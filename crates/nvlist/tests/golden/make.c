/*
 * Makes the fixtures of this folder with OpenZFS's libnvpair:
 *
 *     cc $(pkg-config --cflags libzfs) make.c -o make -lnvpair && ./make FOLDER
 *
 * golden.rs builds the same lists.
 */
#include <err.h>
#include <libnvpair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nvlist_t *
new_list(uint_t flags)
{
	nvlist_t *list;
	if (nvlist_alloc(&list, flags, 0) != 0)
		errx(1, "nvlist_alloc");
	return (list);
}

/* Every type, with values that show their place in a word, and nothing that programs and the kernel pack differently. */
static nvlist_t *
types(void)
{
	nvlist_t *list = new_list(NV_UNIQUE_NAME);
	boolean_t truths[] = { B_TRUE, B_FALSE, B_TRUE };
	uchar_t bytes[] = { 1, 0x7f, 0xff, 0x80, 5 };
	int8_t int8s[] = { 1, 2, 127 };
	uint8_t uint8s[] = { 3, 4, 5, 6, 7 };
	int16_t int16s[] = { 0x102, 2, 3 };
	uint16_t uint16s[] = { 0xfffe, 2 };
	int32_t int32s[] = { -2, 0x1020304, 3 };
	uint32_t uint32s[] = { 0xfffffffe };
	int64_t int64s[] = { -2, 0x102030405060708 };
	uint64_t uint64s[] = { 0xfffffffffffffffe, 2, 3 };
	const char *strings[] = { "", "a", "four", "eight by" };

	nvlist_add_boolean(list, "boolean");
	nvlist_add_byte(list, "byte", 0x7f);
	nvlist_add_int16(list, "int16", 0x102);
	nvlist_add_uint16(list, "uint16", 0xfffe);
	nvlist_add_int32(list, "int32", -2);
	nvlist_add_uint32(list, "uint32", 0xfffffffe);
	nvlist_add_int64(list, "int64", -2);
	nvlist_add_uint64(list, "uint64", 0x102030405060708);
	nvlist_add_string(list, "string", "tank/home");
	nvlist_add_string(list, "latin", "caf\xe9");
	nvlist_add_byte_array(list, "byte_array", bytes, 5);
	nvlist_add_int16_array(list, "int16_array", int16s, 3);
	nvlist_add_uint16_array(list, "uint16_array", uint16s, 2);
	nvlist_add_int32_array(list, "int32_array", int32s, 3);
	nvlist_add_uint32_array(list, "uint32_array", uint32s, 1);
	nvlist_add_int64_array(list, "int64_array", int64s, 2);
	nvlist_add_uint64_array(list, "uint64_array", uint64s, 3);
	nvlist_add_string_array(list, "string_array", strings, 4);
	nvlist_add_hrtime(list, "hrtime", -5);
	nvlist_add_boolean_value(list, "boolean_value", B_TRUE);
	nvlist_add_int8(list, "int8", 0x7e);
	nvlist_add_uint8(list, "uint8", 0x0a);
	nvlist_add_boolean_array(list, "boolean_array", truths, 3);
	nvlist_add_int8_array(list, "int8_array", int8s, 3);
	nvlist_add_uint8_array(list, "uint8_array", uint8s, 5);
	nvlist_add_double(list, "double", 0.0078125);
	return (list);
}

/* Lists within lists, and names of all lengths. */
static nvlist_t *
nested(void)
{
	nvlist_t *list = new_list(NV_UNIQUE_NAME);
	nvlist_t *empty = new_list(NV_UNIQUE_NAME);
	nvlist_t *loose = new_list(0);
	nvlist_t *typed = new_list(NV_UNIQUE_NAME_TYPE);
	nvlist_t *tree = new_list(NV_UNIQUE_NAME);

	nvlist_add_uint64(loose, "twice", 1);
	nvlist_add_uint64(loose, "twice", 2);
	nvlist_add_uint64(typed, "a", 1);
	nvlist_add_string(typed, "a", "one");
	nvlist_add_uint64(typed, "a", 2);
	nvlist_t *children[] = { typed, empty, loose };
	nvlist_add_nvlist_array(tree, "children", (const nvlist_t **)children, 3);
	nvlist_add_string(tree, "type", "root");

	char name[18] = "";
	for (int i = 0; i <= 17; i++) {
		nvlist_add_uint64(list, name, i);
		memset(name, 'n', i < 17 ? i + 1 : 17);
	}
	nvlist_add_nvlist(list, "empty", empty);
	nvlist_add_nvlist(list, "vdev_tree", tree);
	nvlist_add_nvlist(list, "loose", loose);
	nvlist_add_boolean(list, "last");
	return (list);
}

/* Arrays without elements, which libnvpair counts larger in XDR than they are. */
static nvlist_t *
empties(void)
{
	nvlist_t *list = new_list(NV_UNIQUE_NAME), *inner = new_list(NV_UNIQUE_NAME);
	nvlist_add_byte_array(inner, "byte_array", NULL, 0);
	nvlist_add_int16_array(inner, "int16_array", NULL, 0);
	nvlist_add_uint64_array(inner, "uint64_array", NULL, 0);
	nvlist_add_string_array(inner, "string_array", NULL, 0);
	nvlist_add_nvlist_array(inner, "nvlist_array", NULL, 0);
	nvlist_add_boolean_array(inner, "boolean_array", NULL, 0);
	nvlist_add_int8_array(inner, "int8_array", NULL, 0);
	nvlist_add_string(inner, "string", "");
	nvlist_add_nvlist(list, "inner", inner);
	nvlist_add_uint32_array(list, "uint32_array", NULL, 0);
	nvlist_add_boolean(list, "last");
	return (list);
}

/* What programs extend the sign of, and the kernel does not. */
static nvlist_t *
signs(void)
{
	nvlist_t *list = new_list(NV_UNIQUE_NAME);
	int8_t int8s[] = { -128, -1, 127 };
	uint8_t uint8s[] = { 0x80, 0xff, 0x7f };
	int16_t int16s[] = { -32768, -1, 32767 };
	nvlist_add_byte(list, "byte", 0xff);
	nvlist_add_int8(list, "int8", -2);
	nvlist_add_uint8(list, "uint8", 0xfe);
	nvlist_add_int16(list, "int16", -2);
	nvlist_add_int8_array(list, "int8_array", int8s, 3);
	nvlist_add_uint8_array(list, "uint8_array", uint8s, 3);
	nvlist_add_int16_array(list, "int16_array", int16s, 3);
	return (list);
}

static FILE *
create(const char *folder, const char *name, const char *suffix)
{
	char path[4096];
	(void) snprintf(path, sizeof (path), "%s/%s.%s", folder, name, suffix);
	FILE *file = fopen(path, "w");
	if (file == NULL)
		err(1, "%s", path);
	return (file);
}

static void
pack(const char *folder, const char *name, const char *suffix, nvlist_t *list, int encoding)
{
	char *bytes = NULL;
	size_t size, packed;
	if (nvlist_size(list, &size, encoding) != 0 || nvlist_pack(list, &bytes, &packed, encoding, 0) != 0 ||
	    size != packed)
		errx(1, "nvlist_pack");
	FILE *file = create(folder, name, suffix);
	if (fwrite(bytes, size, 1, file) != 1 || fclose(file) != 0)
		err(1, "%s.%s", name, suffix);
	free(bytes);
}

static void
write_all(const char *folder, const char *name, nvlist_t *list)
{
	pack(folder, name, "native", list, NV_ENCODE_NATIVE);
	pack(folder, name, "xdr", list, NV_ENCODE_XDR);
	FILE *file = create(folder, name, "print");
	nvlist_print(file, list);
	if (fclose(file) != 0)
		err(1, "%s.print", name);
	char path[4096];
	(void) snprintf(path, sizeof (path), "%s/%s.dump", folder, name);
	if (freopen(path, "w", stdout) == NULL)
		err(1, "%s", path);
	dump_nvlist(list, 2);
	if (fflush(stdout) != 0)
		err(1, "%s", path);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: make FOLDER");
	write_all(argv[1], "types", types());
	write_all(argv[1], "nested", nested());
	write_all(argv[1], "empties", empties());
	write_all(argv[1], "signs", signs());
	return (0);
}
