"""What heals is tried again, by a real flow on a real Prefect server."""

import json
import subprocess
import sys

FLOW = """
import json
from prefect import flow
from flows.tasks import retried_task
from resnet.errors import PipelineError, UnreachableError

calls = {}

def fail(error):
    calls[error.__name__] = calls.get(error.__name__, 0) + 1
    if calls[error.__name__] < 3:
        raise error("no")
    return "healed"

@flow
def once(error):
    return retried_task(fail, "fail").with_options(retry_delay_seconds=0)(error)

states = [once(error, return_state=True) for error in (UnreachableError, PipelineError, KeyError)]
print(json.dumps([calls, [state.name for state in states]]))
"""


def test_a_silent_server_is_asked_again_and_nothing_else_is(checkout, prefect):
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=checkout.root,
        env=checkout.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls, states = json.loads(done.stdout.splitlines()[-1])
    assert calls == {"UnreachableError": 3, "PipelineError": 1, "KeyError": 1}
    assert states == ["Completed", "Failed", "Failed"]
