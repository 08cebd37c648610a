/* Configurations of TLS: net/tls_config.c, net/tls_pem.c. */
#include "tests/net/tls_pair.h"

#include <stdlib.h>
#include <sys/mman.h>

TestSuite(tls_config, .timeout = 60);

/* The library may be used outside all tasks. */
#define CONFIG_TEST(name) \
	static void config_##name(void); \
	Test(tls_config, name) \
	{ \
		leaks_begin(); \
		config_##name(); \
		leaks_end(); \
	} \
	static void config_##name(void)

/* A text that names what is wrong. */
static void
expect_refused(int is_server, const cede_tls_options_t *options, int code, const char *part)
{
	cede_tls_t *tls = (cede_tls_t *)&tls;
	const int r = is_server ? cede_tls_create_server(options, &tls)
				: cede_tls_create_client(options, &tls);

	cr_assert_eq(r, code, "%s instead of %s", cede_err_name(r), cede_err_name(code));
	cr_assert_eq((void *)tls, (void *)&tls, "the output was written");
	cr_assert(strstr(cede_error_text(r), part), "no '%s' in: %s", part, cede_error_text(r));
}

static void
expect_certificate_refused(const cede_tls_certificate_t *certificate, int code, const char *part)
{
	expect_refused(1,
		&(cede_tls_options_t){ .certificates = certificate, .certificate_count = 1 }, code,
		part);
}

static void
expect_certificate_taken(const cede_tls_certificate_t *certificate)
{
	cede_tls_t *tls = make_server(
		&(cede_tls_options_t){ .certificates = certificate, .certificate_count = 1 });

	cr_assert_null(cede_tls_unref(tls));
}

/* The whole of a file, with a zero behind it; freed by the caller. */
static char *
slurp(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 65536);

	cr_assert_not_null(file);
	cr_assert_not_null(text);
	*ret_size = fread(text, 1, 65535, file);
	fclose(file);
	return text;
}

/* ---- certificates and keys ---- */

CONFIG_TEST(files_make_a_server_and_references_are_counted)
{
	const cede_tls_options_t options = server_options();
	cede_tls_t *tls = make_server(&options);

	cr_assert_eq(cede_tls_ref(tls), tls);
	cr_assert_null(cede_tls_unref(tls));
	cr_assert_null(cede_tls_unref(tls));
	cr_assert_null(cede_tls_unref(NULL));
}

CONFIG_TEST(texts_in_memory_do_as_well_and_are_not_kept)
{
	cede_tls_certificate_t c = { .chain = NULL };
	char *chain = slurp(cert("server.pem"), &c.chain_size);
	char *key = slurp(cert("server.key"), &c.key_size);
	cede_tls_t *tls;

	c.chain = chain;
	c.key = key;
	tls = make_server(&(cede_tls_options_t){ .certificates = &c, .certificate_count = 1 });
	memset(chain, 'x', c.chain_size);
	memset(key, 'x', c.key_size);
	cede_tls_unref(tls);
	free(chain);
	free(key);
}

CONFIG_TEST(the_key_may_stand_in_the_same_text)
{
	cede_tls_certificate_t c = { .chain = NULL };
	size_t key_size;
	char *both = slurp(cert("server.pem"), &c.chain_size);
	char *key = slurp(cert("server.key"), &key_size);

	memcpy(both + c.chain_size, key, key_size + 1);
	c.chain_size += key_size;
	c.chain = both;
	expect_certificate_taken(&c);
	memmove(both + key_size, both, c.chain_size - key_size);
	memcpy(both, key, key_size); /* the key first */
	expect_certificate_taken(&c);
	free(both);
	free(key);
}

CONFIG_TEST(a_file_may_be_a_pipe)
{
	cede_tls_certificate_t c = identity("server");
	char path[64], *key;
	size_t size;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	key = slurp(c.key_file, &size);
	cr_assert_eq(write(fds[1], key, size), (ssize_t)size);
	close(fds[1]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	c.key_file = path;
	expect_certificate_taken(&c);
	close(fds[0]);
	free(key);
}

CONFIG_TEST(a_file_that_is_not_there_is_named)
{
	cede_tls_certificate_t c = identity("server");

	c.chain_file = cert("nothing.pem");
	expect_certificate_refused(&c, CEDE_ENOENT, "nothing.pem: no such file");
	c = identity("server");
	c.key_file = cert("nothing.key");
	expect_certificate_refused(&c, CEDE_ENOENT, "nothing.key");
	expect_refused(0, &(cede_tls_options_t){ .ca_file = cert("nothing.pem") }, CEDE_ENOENT,
		"nothing.pem");
}

CONFIG_TEST(a_folder_is_no_file)
{
	cede_tls_certificate_t c = identity("server");

	c.chain_file = cert("");
	expect_certificate_refused(&c, CEDE_EISDIR, "certs");
}

CONFIG_TEST(a_file_that_is_too_large_is_refused)
{
	const int fd = memfd_create("large", MFD_CLOEXEC);
	cede_tls_certificate_t c = identity("server");
	char path[64];

	cr_assert_eq(ftruncate(fd, (16 << 20) + 1), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	c.chain_file = path;
	expect_certificate_refused(&c, CEDE_EFBIG, path);
	close(fd);
}

CONFIG_TEST(what_is_no_certificate_is_refused)
{
	const cede_tls_certificate_t nothing = { .chain = NULL }, empty = { .chain = "" },
				     prose = { .chain = "Dear server,", .chain_size = 12 };
	cede_tls_certificate_t c = identity("server");

	expect_certificate_refused(&nothing, CEDE_EINVAL, "no certificate");
	expect_certificate_refused(&empty, CEDE_EINVAL, "no certificate");
	expect_certificate_refused(&prose, CEDE_EINVAL, "no certificate");
	c.chain_file = c.key_file;
	expect_certificate_refused(&c, CEDE_EINVAL, "no certificate");
}

/* Each byte of the text, changed: never a crash, and if it is taken it is not less strict. */
CONFIG_TEST(a_text_that_is_damaged_anywhere_never_crashes)
{
	cede_tls_certificate_t c = { .key_file = cert("server.key") };
	char *chain = slurp(cert("server.pem"), &c.chain_size);
	unsigned refused = 0;

	c.chain = chain;
	for (size_t i = 0; i < c.chain_size; i++) {
		cede_tls_t *tls = NULL;

		chain[i] ^= 0x15;
		if (cede_tls_create_server(&(cede_tls_options_t){ .certificates = &c,
						   .certificate_count = 1 },
			    &tls) < 0)
			refused++;
		cede_tls_unref(tls);
		chain[i] ^= 0x15;
	}
	cr_assert_gt(refused, c.chain_size / 4);
	free(chain);
}

CONFIG_TEST(a_text_that_ends_anywhere_is_refused)
{
	cede_tls_certificate_t c = { .key_file = cert("rsa.key") };
	char *chain = slurp(cert("rsa.pem"), &c.chain_size);
	const size_t size = c.chain_size;

	c.chain = chain;
	for (size_t i = 0; i < size - 2; i++) {
		c.chain_size = i;
		expect_certificate_refused(&c, CEDE_EINVAL, "the certificate");
	}
	free(chain);
}

CONFIG_TEST(a_key_of_another_certificate_is_refused)
{
	cede_tls_certificate_t c = identity("server");

	c.key_file = cert("second.key");
	expect_certificate_refused(&c, CEDE_EINVAL, "second.key: key values mismatch");
	c.key_file = cert("rsa.key");
	expect_certificate_refused(&c, CEDE_EINVAL, "rsa.key");
}

CONFIG_TEST(a_text_without_a_key_is_refused)
{
	cede_tls_certificate_t c = identity("server");

	c.key_file = NULL;
	expect_certificate_refused(&c, CEDE_EINVAL, "server.pem: ");
	c.key_file = c.chain_file;
	expect_certificate_refused(&c, CEDE_EINVAL, "server.pem: ");
}

CONFIG_TEST(a_key_that_is_locked_needs_its_password_and_nobody_is_asked)
{
	cede_tls_certificate_t c = identity("server");

	c.key_file = cert("locked.key");
	expect_certificate_refused(&c, CEDE_EINVAL, "locked.key: ");
	c.password = "wrong";
	expect_certificate_refused(&c, CEDE_EINVAL, "locked.key: ");
	c.password = "";
	expect_certificate_refused(&c, CEDE_EINVAL, "locked.key: ");
	c.password = "secret";
	expect_certificate_taken(&c);
}

CONFIG_TEST(a_password_for_a_key_that_has_none_is_not_used)
{
	cede_tls_certificate_t c = identity("server");

	c.password = "secret";
	expect_certificate_taken(&c);
}

CONFIG_TEST(a_file_and_a_text_are_one_too_many)
{
	cede_tls_certificate_t c = identity("server");

	c.key = "text";
	c.key_size = 4;
	expect_certificate_refused(&c, CEDE_EINVAL, "the key: a file and a text");
}

/* ---- options ---- */

CONFIG_TEST(a_server_needs_a_certificate)
{
	expect_refused(1, NULL, CEDE_EINVAL, "certificate");
	expect_refused(1, &(cede_tls_options_t){ .ca_file = cert("ca.pem") }, CEDE_EINVAL,
		"certificate");
}

CONFIG_TEST(a_client_needs_nothing_and_trusts_the_system)
{
	cede_tls_unref(make_client(NULL));
}

CONFIG_TEST(a_client_has_one_certificate_at_the_most)
{
	const cede_tls_certificate_t two[] = { identity("client"), identity("stranger") };
	cede_tls_options_t options = client_options();

	options.certificates = two;
	options.certificate_count = 2;
	expect_refused(0, &options, CEDE_EINVAL, "one certificate");
	options.certificate_count = 1;
	cede_tls_unref(make_client(&options));
}

CONFIG_TEST(whoever_asks_for_certificates_says_whose)
{
	cede_tls_options_t options = server_options();

	options.verify = CEDE_TLS_VERIFY_REQUIRED;
	expect_refused(1, &options, CEDE_EINVAL, "whose");
	options.verify = CEDE_TLS_VERIFY_OPTIONAL;
	expect_refused(1, &options, CEDE_EINVAL, "whose");
	options.ca_file = cert("ca.pem");
	cede_tls_unref(make_server(&options));
}

CONFIG_TEST(verification_that_makes_no_sense_is_refused)
{
	cede_tls_options_t options = server_options();

	options.verify = CEDE_TLS_VERIFY_NOTHING_INSECURE;
	expect_refused(1, &options, CEDE_EINVAL, "server");
	options = client_options();
	options.verify = CEDE_TLS_VERIFY_OPTIONAL;
	expect_refused(0, &options, CEDE_EINVAL, "client");
	options.verify = (cede_tls_verify_t)77;
	expect_refused(0, &options, CEDE_EINVAL, "client");
}

CONFIG_TEST(who_is_trusted_comes_from_files_folders_and_texts)
{
	cede_tls_options_t options = { .ca_file = cert("ca.pem"), .ca_dir = cert("") };
	char *text = slurp(cert("other-ca.pem"), &options.ca_size);

	options.ca = text;
	cede_tls_unref(make_client(&options));
	options.ca_size /= 2;
	expect_refused(0, &options, CEDE_EINVAL, "the CA's certificates");
	free(text);
	expect_refused(0, &(cede_tls_options_t){ .ca_file = cert("server.key") }, CEDE_EINVAL,
		"server.key: no certificate");
}

CONFIG_TEST(versions_that_leave_none_are_refused)
{
	cede_tls_options_t options = client_options();

	options.min_version = CEDE_TLS_1_3;
	options.max_version = CEDE_TLS_1_2;
	expect_refused(0, &options, CEDE_EINVAL, "version");
	options.max_version = (cede_tls_version_t)9;
	expect_refused(0, &options, CEDE_EINVAL, "version");
}

CONFIG_TEST(ciphers_that_nobody_knows_are_refused)
{
	cede_tls_options_t options = client_options();

	options.ciphers = "ROT13";
	expect_refused(0, &options, CEDE_EINVAL, "ROT13");
	options.ciphers = NULL;
	options.ciphersuites = "TLS_ROT13";
	expect_refused(0, &options, CEDE_EINVAL, "TLS_ROT13");
}

CONFIG_TEST(names_of_protocols_are_of_1_to_255_bytes)
{
	cede_tls_options_t options = client_options();
	char long_name[257], *name = long_name + 1;

	memset(long_name, 'x', 256);
	long_name[256] = '\0';
	options.alpn = (const char *const[]){ NULL };
	expect_refused(0, &options, CEDE_EINVAL, "ALPN");
	options.alpn = (const char *const[]){ "h2", "", NULL };
	expect_refused(0, &options, CEDE_EINVAL, "ALPN");
	options.alpn = (const char *const[]){ long_name, NULL };
	expect_refused(0, &options, CEDE_EINVAL, "ALPN");
	options.alpn = (const char *const[]){ name, "h2", NULL };
	cede_tls_unref(make_client(&options));
	options.alpn = (const char *const[]){ name, name, name, name, name, NULL };
	expect_refused(0, &options, CEDE_EINVAL, "ALPN");
}

/* ---- want of memory ---- */

static int
make_all(void)
{
	static const char *const alpn[] = { "h2", "http/1.1", NULL };
	const cede_tls_certificate_t two[] = { identity("server"), identity("second") };
	cede_tls_options_t server = { .certificates = two, .certificate_count = 2, .alpn = alpn };
	cede_tls_options_t client = client_options();
	cede_tls_t *tls = NULL;
	int r = cede_tls_create_server(&server, &tls);

	cede_tls_unref(tls);
	if (r < 0)
		return r;
	tls = NULL;
	client.alpn = alpn;
	r = cede_tls_create_client(&client, &tls);
	cede_tls_unref(tls);
	return r;
}

static void
fail_each(enum fault_mode mode)
{
	unsigned n = 0, failed;

	leaks_begin();
	fault_install();
	do {
		int r;

		fault_arm(++n, mode);
		r = make_all();
		failed = fault_disarm();
		/* An error without memory for its sentence is one all the same. */
		cr_assert(r == 0 || (failed > 0 && r == CEDE_ENOMEM), "allocation %u: %s", n,
			cede_strerror(r));
		leaks_end();
	} while (failed > 0);
	cr_assert_gt(n, 8);
}

Test(tls_config, each_allocation_may_fail_once)
{
	fail_each(FAULT_ONCE);
}

Test(tls_config, each_allocation_may_fail_for_good)
{
	fail_each(FAULT_FOREVER);
}
