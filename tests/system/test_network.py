"""Servers are reached with the user's login and without a proxy on the way to loopback."""

import pytest

from resnet.system import network

PROXIES = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("user", "hosts"),
    [
        ({}, PROXIES),
        ({"NO_PROXY": "example.org, 127.0.0.1"}, "example.org,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a.org", "NO_PROXY": "b.org"}, f"a.org,{PROXIES}"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_no_proxy_stands_before_loopback_whatever_the_user_has_set(
    user: dict[str, str], hosts: str
) -> None:
    assert network.environment(user) == {"no_proxy": hosts, "NO_PROXY": hosts}


def logins(**user: str) -> dict[str, str]:
    """The variables that change, but for those of proxies."""
    changed = network.environment(user)
    return {name: value for name, value in changed.items() if name.lower() != "no_proxy"}


def test_a_login_moves_from_an_address_to_the_variables_that_clients_read() -> None:
    assert logins(
        PREFECT_API_URL="https://ann:p%40ss@prefect:4200/api",
        MLFLOW_TRACKING_URI="http://bob:word@[::1]:5000/mlflow",
    ) == {
        "PREFECT_API_URL": "https://prefect:4200/api",
        "PREFECT_API_AUTH_STRING": "ann:p@ss",
        "MLFLOW_TRACKING_URI": "http://[::1]:5000/mlflow",
        "MLFLOW_TRACKING_USERNAME": "bob",
        "MLFLOW_TRACKING_PASSWORD": "word",
    }


def test_the_users_own_login_takes_precedence_over_the_addresses() -> None:
    own = {
        "PREFECT_API_AUTH_STRING": "carl:own",
        "MLFLOW_TRACKING_USERNAME": "carl",
        "MLFLOW_TRACKING_PASSWORD": "own",
    }
    api, mlflow = "http://ann:pass@prefect/api", "http://ann:pass@mlflow"
    changed = logins(**own, PREFECT_API_URL=api, MLFLOW_TRACKING_URI=mlflow)
    addresses = {"PREFECT_API_URL": "http://prefect/api", "MLFLOW_TRACKING_URI": "http://mlflow"}
    assert {**own, **changed} == {**own, **addresses}


@pytest.mark.parametrize(
    "address",
    ["", "http://host:5000", "http://token@host", "postgresql://ann:pass@db/x", "http://[bad"],
)
def test_other_addresses_of_mlflow_stay_as_they_are(address: str) -> None:
    assert logins(MLFLOW_TRACKING_URI=address) == {}
