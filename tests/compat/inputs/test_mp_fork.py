"""What Python calls test_multiprocessing_fork. Under that name, versions differ in whether it is a
module or a package."""
from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), "fork")
