#!/bin/sh
# A resumed Optuna study with a seeded sampler tries the same points again.
#
# Guess:    create_study(load_if_exists=True, sampler=RandomSampler(seed=1)) goes
#           on where the stored study stopped: 3 + 3 trials are 6 points.
# Versions: optuna 5.0.0, SQLAlchemy 2.0.58, SQLite.
# Happens:  the sampler's generator is not stored and does not look at how many
#           trials there are. Each new process begins its sequence again: the
#           random sampler always, TPE as long as it is in its first ten trials.
#           A study made of short jobs, as pre-emptible machines do it, may
#           evaluate a handful of points for ever.
# Seen:     RandomSampler 0.417 0.72 0.0 0.417 0.72 0.0
# Remedy:   no seed, or one that holds the count: seed + len(study.trials).
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check optuna==5.0.0 SQLAlchemy==2.0.58
cd "$tmp"
cat > job.py <<'PY'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
name = sys.argv[1]
study = optuna.create_study(
    storage="sqlite:///study.db", study_name=name, load_if_exists=True,
    sampler=getattr(optuna.samplers, name)(seed=1),
)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
points = [round(t.params["x"], 3) for t in study.trials]
print("optuna", optuna.__version__, name, len(points), "trials:", *points)
if len(points) == 6:
    assert points[:3] == points[3:], "behaviour changed"
PY
for sampler in RandomSampler TPESampler; do
    venv/bin/python job.py $sampler
    venv/bin/python job.py $sampler
done
