#!/bin/sh
# pytest: a strict xfail test fails because it failed, if it failed in a subtest.
#
# Guess:    xfail(strict=True) on a test whose only subtest fails is satisfied:
#           the test did fail, as announced.
# Versions: pytest 9.2.0 (subtests are built in since 9.0).
# Happens:  the subtest is reported as xfailed and the test around it, which got
#           to its end, as an unexpected pass: XPASS(strict), exit status 1. The
#           same assertion outside a subtest gives xfailed and exit status 0. So
#           moving assertions into subtests turns a known failure red, and takes
#           away the only signal for when the bug is fixed.
# Seen:     plain assertion: 1 xfailed, exit 0
#           in a subtest: 1 failed, 1 xfailed, exit 1
# Remedy:   xfail(strict=False), or pytest.xfail() inside the subtest.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check pytest==9.2.0
cd "$tmp"
cat > test_known_bug.py <<'PY'
import pytest


@pytest.mark.xfail(strict=True)
def test_plain():
    assert 1 + 1 == 3


@pytest.mark.xfail(strict=True)
def test_subtest(subtests):
    with subtests.test("sum"):
        assert 1 + 1 == 3
PY
venv/bin/pytest --version
for name in plain subtest; do
    status=0
    venv/bin/pytest -q -rxX -p no:cacheprovider "test_known_bug.py::test_$name" || status=$?
    echo "test_$name: exit status $status"
    case $name-$status in
        plain-0 | subtest-1) ;;
        *) echo "behaviour changed"; exit 1 ;;
    esac
done
