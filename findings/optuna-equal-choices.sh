#!/bin/sh
# Optuna records another choice than the one the trial ran with, when two
# choices are equal in Python.
#
# Guess:    suggest_categorical("max_features", [1, 1.0, None]) has three
#           choices, and trial.params tells which one ran. (In scikit-learn 1
#           means one feature, 1.0 all of them.)
# Versions: optuna 5.0.0, SQLAlchemy 2.0.58, on SQLite and in memory.
# Happens:  the objective does get 1.0 or True, but the study stores 1, because
#           it looks the value up with ==. best_params then names a setting that
#           did not give the best value; a model trained from it is another one.
#           No warning.
# Seen:     the objective got 1.0 and returned 0.0 (best); best_params says 1
# Remedy:   strings as choices ("one", "all"), translated in the objective.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check optuna==5.0.0 SQLAlchemy==2.0.58
cd "$tmp"
venv/bin/python - <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
print("optuna", optuna.__version__)


def objective(trial):
    choice = trial.suggest_categorical("max_features", [1, 1.0, None])
    trial.set_user_attr("ran with", repr(choice))
    return {"1": 1.0, "1.0": 0.0, "None": 2.0}[repr(choice)]


for storage in (None, "sqlite:///study.db"):
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, sampler=sampler)
    study.optimize(objective, n_trials=20)
    ran = [t.user_attrs["ran with"] for t in study.trials]
    stored = [repr(t.params["max_features"]) for t in study.trials]
    print(storage, "ran with:", {c: ran.count(c) for c in sorted(set(ran))})
    print(storage, "stored:  ", {c: stored.count(c) for c in sorted(set(stored))})
    best = study.best_trial
    print("best value", best.value, "ran with", best.user_attrs["ran with"],
          "best_params", study.best_params)
    assert best.user_attrs["ran with"] == "1.0", "behaviour changed"
    assert repr(study.best_params["max_features"]) == "1", "behaviour changed"
PY
