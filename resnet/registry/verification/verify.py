"""Rebuild a version from what the registry holds of it, and check each claim.

Everything is put into a temporary folder, from the registry, the checkout's git repository and
DVC's cache or remote; stages run there with the code of the recorded commit.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resnet.checkout import git
from resnet.errors import PipelineError
from resnet.registry import store, versions
from resnet.registry.verification.claims import CLAIMS, Claim
from resnet.registry.verification.version_under_test import Unknown, VersionUnderTest
from resnet.registry.versions import Version
from resnet.system.processes import Say

STATES: tuple[Literal["PASS", "FAIL", "UNKNOWN"], ...] = ("PASS", "FAIL", "UNKNOWN")
MAX_LINE = 300  # characters


@dataclass(frozen=True)
class ClaimResult:
    """The result of the check of one claim."""

    name: str
    state: Literal["PASS", "FAIL", "UNKNOWN"]
    text: str  # what was found, and what was recorded

    def __str__(self) -> str:
        return f"{self.state:<7}  {self.name:<11}  {self.text}"


@dataclass(frozen=True)
class Verification:
    """The results of all claims about one version."""

    version: Version
    results: Sequence[ClaimResult]

    @property
    def failed(self) -> bool:
        return any(result.state == "FAIL" for result in self.results)

    def __str__(self) -> str:
        """One line per claim, below the version's name and above the count of each state."""
        states = [result.state for result in self.results]
        counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
        return "\n".join([str(self.version), *map(str, self.results), counts])


def verify(
    root: Path, name: str, selector: str | int, say: Say, claims: Sequence[Claim] = CLAIMS
) -> Verification:
    """Check the claims about one version, in order; `say` receives lines of progress.

    Raises PipelineError where there is no such version, and where git does not look at the
    checkout. A claim that fails raises nothing.
    """
    git.top(root)
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    results: dict[str, ClaimResult] = {}
    with tempfile.TemporaryDirectory(prefix="resnet-verify-") as folder:
        subject = VersionUnderTest(root, client, version, Path(folder), say)
        for claim in claims:
            say(f"verify: {claim.name}")
            results[claim.name] = _check(claim, subject, results)
    return Verification(version, list(results.values()))


def _check(claim: Claim, subject: VersionUnderTest, earlier: dict[str, ClaimResult]) -> ClaimResult:
    missing = [name for name in claim.needs if earlier[name].state != "PASS"]
    if missing:
        return ClaimResult(claim.name, "UNKNOWN", f"needs {' and '.join(missing)}")
    try:
        return ClaimResult(claim.name, "PASS", claim.check(subject))
    except Unknown as error:
        return ClaimResult(claim.name, "UNKNOWN", _line(error))
    except PipelineError as error:
        return ClaimResult(claim.name, "FAIL", _line(error))


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"
