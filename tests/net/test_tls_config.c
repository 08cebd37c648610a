#include "tests/net/tls_pair.h"
TestSuite(tls_config, .timeout = 30);
