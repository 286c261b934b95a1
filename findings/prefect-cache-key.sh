#!/bin/sh
# Prefect's input cache takes different inputs for the same.
#
# Guess:    with the cache policy INPUTS a task runs again when its input is
#           another value: {1: "a"} is not {"1": "a"}, (1, 2) is not [1, 2].
# Versions: prefect 3.8.8 on Python 3.11.
# Happens:  the key is a hash of the input's JSON where that works, and JSON has
#           no integer keys and no tuples. The second call gets the first one's
#           result, computed from another input. 1 and "1" on their own, or 1
#           and 1.0, do have keys of their own.
# Seen:     task({1: "a"}) -> "int"; task({"1": "a"}) -> "int"; the body ran once
# Remedy:   a cache_key_fn that hashes repr() or the pickle of the inputs.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check prefect==3.8.8 \
    fastapi==0.149.0 SQLAlchemy==2.0.58
export PREFECT_HOME="$tmp/home" PREFECT_SERVER_ANALYTICS_ENABLED=false
export PREFECT_LOGGING_LEVEL=ERROR DO_NOT_TRACK=1
cd "$tmp"
cat > keys.py <<'PY'
import prefect
from prefect import flow, task
from prefect.cache_policies import INPUTS

ran = []


@task(cache_policy=INPUTS, persist_result=True)
def kind_of_key(mapping):
    ran.append(mapping)
    return type(next(iter(mapping))).__name__


@task(cache_policy=INPUTS, persist_result=True)
def kind(value):
    return type(value).__name__


@flow
def main():
    return [
        kind_of_key({1: "a"}), kind_of_key({"1": "a"}),
        kind([1, 2]), kind((1, 2)), kind(1), kind("1"), kind(1.0),
    ]


if __name__ == "__main__":
    print("prefect", prefect.__version__)
    got = main()
    names = ['{1: "a"}', '{"1": "a"}', "[1, 2]", "(1, 2)", "1", '"1"', "1.0"]
    for name, result in zip(names, got):
        print(name, "->", result)
    print("the first task's body ran", len(ran), "time(s)")
    assert got == ["int", "int", "list", "list", "int", "str", "float"], "behaviour changed"
    assert len(ran) == 1, "behaviour changed"
PY
venv/bin/python -W ignore keys.py
