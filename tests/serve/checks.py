"""Runs functions as tests and counts them in the form of the other test programs."""
import os
import sys
import time
import traceback

FULL = os.environ.get("THOR_FULL", "1") != "0"  # 0: under the sanitizers, a smaller dose


def dose(name, small, normal):
    return int(os.environ.get(name, normal if FULL else small))


def run(tests, build):
    """Each of tests(context): an exception is a failure."""
    from served import Setup
    if os.path.exists(os.path.join(build, "cli/serve/left_out.o")) and not os.path.exists(
            os.path.join(build, "cli/serve/http.o")):
        print("[  SKIPPED ] serve: built without libmicrohttpd\n[  PASSED  ] 0 test(s).\n[  SKIPPED ] 1 test(s), listed above:")
        return 0
    setup, passed, failed = Setup(build), 0, 0
    for test in tests:
        began = time.monotonic()
        try:
            test(setup)
            passed += 1
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED: {test.__name__}")
            traceback.print_exc(limit=4, file=sys.stdout)
        if os.environ.get("THOR_TIMES"):
            print(f"  {test.__name__}: {time.monotonic() - began:.1f} s")
    setup.remove()
    print(f"[  PASSED  ] {passed} test(s).")
    if failed:
        print(f"[  FAILED  ] {failed} test(s), listed above")
    return failed > 0
