"""Runs all tests: python3 -B -m tests, in python/.  Prints counts as the other tests do.

CKKS_LIBRARY and THOR name what is tested; the sources' tests/python.sh sets both."""
import sys
import unittest

found = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(found)
bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
for test, why in result.skipped:
    print(f"[  SKIPPED ] {test.id()}: {why}")
# a failed setUpClass is an error of no test
print(f"[  PASSED  ] {max(0, result.testsRun - bad - len(result.skipped))} test(s).")
if result.skipped:
    print(f"[  SKIPPED ] {len(result.skipped)} test(s), listed above:")
if bad or not result.testsRun:
    print(f"[  FAILED  ] {max(bad, 1)} test(s), listed above")
    sys.exit(1)
