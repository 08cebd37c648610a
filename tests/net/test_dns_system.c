/* The system's own resolver, for what needs no network: net/dns.c. */
#include "tests/net/address_text.h"
#include "tests/net/pair.h"

TestSuite(dns_system, .timeout = 30);

TASK_TEST(dns_system, localhost_is_this_host)
{
	cede_dns_result_t *found = NULL;

	cr_assert_eq(cede_dns_lookup("localhost", "80", NULL, &found), 0);
	cr_assert_geq(found->count, 1);
	for (unsigned i = 0; i < found->count; i++)
		cr_assert(strcmp(text_of(&found->addresses[i]), "127.0.0.1:80") == 0 ||
			strcmp(text_of(&found->addresses[i]), "[::1]:80") == 0);
	cede_dns_result_destroy(found);
}

TASK_TEST(dns_system, an_address_has_a_name_or_is_one)
{
	cede_dns_names_t names;

	cr_assert_eq(cede_dns_reverse("127.0.0.1:65000", NULL, &names), 0);
	cr_assert_neq(names.host[0], '\0');
	cr_assert_str_eq(names.service, "65000");
}

TASK_TEST(dns_system, a_number_with_a_services_name_is_no_matter_for_a_name_server)
{
	cede_dns_result_t *found = NULL;
	int r = cede_dns_lookup("127.0.0.1", "no-such-service", NULL, &found);

	cr_assert(r == CEDE_EAI_SERVICE || r == CEDE_EAI_NONAME, "%s", cede_strerror(r));
	cr_assert_null(found);
}
