"""Rebuild a version from what the registry says of it, and check each claim.

All of it is brought to a temporary folder, from the registry, the checkout's git repository and
DVC's cache or remote; what runs there runs with the recorded commit's own code.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resnet.checkout.rebuild import Say
from resnet.errors import PipelineError
from resnet.registry import store, versions
from resnet.registry.verification.case import Case, Unknown
from resnet.registry.verification.claims import CLAIMS, Claim
from resnet.registry.versions import Version

STATES: tuple[Literal["PASS", "FAIL", "UNKNOWN"], ...] = ("PASS", "FAIL", "UNKNOWN")
LONGEST = 300  # characters of a line


@dataclass(frozen=True)
class Result:
    """What the check of one claim has given."""

    name: str
    state: Literal["PASS", "FAIL", "UNKNOWN"]
    text: str  # what was found, and what was wanted

    def __str__(self) -> str:
        return f"{self.state:<7}  {self.name:<11}  {self.text}"


@dataclass(frozen=True)
class Report:
    """The results of all claims about one version."""

    version: Version
    results: Sequence[Result]

    @property
    def failed(self) -> bool:
        return any(result.state == "FAIL" for result in self.results)

    def __str__(self) -> str:
        """A line a claim, under the version's name and over the count of each state."""
        states = [result.state for result in self.results]
        counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
        return "\n".join([str(self.version), *map(str, self.results), counts])


def verify(
    root: Path, name: str, selector: str | int, say: Say, claims: Sequence[Claim] = CLAIMS
) -> Report:
    """Check the claims about one version, in their order; `say` is given lines of progress.

    Raises PipelineError where there is no such version. A claim that does not hold is no error.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="resnet-verify-") as folder:
        case = Case(root, client, version, Path(folder), say)
        for claim in claims:
            say(f"verify: {claim.name}")
            results[claim.name] = _result(claim, case, results)
    return Report(version, list(results.values()))


def _result(claim: Claim, case: Case, before: dict[str, Result]) -> Result:
    lacking = [name for name in claim.needs if before[name].state != "PASS"]
    if lacking:
        return Result(claim.name, "UNKNOWN", f"needs {' and '.join(lacking)}")
    try:
        return Result(claim.name, "PASS", claim.check(case))
    except Unknown as error:
        return Result(claim.name, "UNKNOWN", _line(error))
    except PipelineError as error:
        return Result(claim.name, "FAIL", _line(error))


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
