"""The claims about a version, in the order of their checks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resnet.registry.verification import model_claims, origin_claims
from resnet.registry.verification.version_under_test import VersionUnderTest


@dataclass(frozen=True)
class Claim:
    """A claim with its check, and the names of the claims that have to hold before it."""

    name: str
    check: Callable[[VersionUnderTest], str]
    needs: Sequence[str] = ()


REBUILT = ("commit", "code", "parameters", "data")  # what a stage needs to run again
CLAIMS = (
    Claim("commit", origin_claims.commit),
    Claim("code", origin_claims.code, ("commit",)),
    Claim("parameters", origin_claims.parameters),
    Claim("packages", origin_claims.locked, ("commit",)),
    Claim("environment", origin_claims.environment),
    Claim("data", origin_claims.data, ("commit",)),
    Claim("model", model_claims.model),
    Claim("served", model_claims.served, ("model",)),
    Claim("portable", model_claims.portable),
    Claim("evaluation", model_claims.evaluation),
    Claim("score", model_claims.score, (*REBUILT, "model", "evaluation")),
)
EVERY = (*CLAIMS, Claim("retrain", model_claims.retrain, REBUILT))  # takes as long as the training
