"""What a command needs in its environment to reach servers: logins beside addresses, no proxy."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PREFECT_PORT, MLFLOW_PORT = "RESNET_PREFECT_PORT", "RESNET_MLFLOW_PORT"  # variables
PORTS = {
    PREFECT_PORT: 4200,
    MLFLOW_PORT: 5000,
}  # of the checkout's own servers, unless they are set
MLFLOW_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def environment(user: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand beside the `user`'s, or in their place."""
    return {**_direct_loopback(user), **_login_of_prefect(user), **_login_of_mlflow(user)}


def _direct_loopback(user: Mapping[str, str]) -> dict[str, str]:
    """No proxy stands before loopback; tools read one spelling or the other, lower case first."""
    value = user.get("no_proxy") or user.get("NO_PROXY") or ""
    hosts = [host.strip() for host in value.split(",") if host.strip()]
    if hosts != ["*"]:
        hosts = list(dict.fromkeys([*hosts, *LOOPBACK]))
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(hosts))


def _login_of_prefect(user: Mapping[str, str]) -> dict[str, str]:
    """A login in the address moves to its own variable: tools print and record addresses."""
    address, name, password = _without_login(user.get("PREFECT_API_URL", ""))
    if not name:
        return {}
    login = user.get("PREFECT_API_AUTH_STRING") or f"{name}:{password}"
    return {"PREFECT_API_URL": address, "PREFECT_API_AUTH_STRING": login}


def _login_of_mlflow(user: Mapping[str, str]) -> dict[str, str]:
    """As Prefect's. Without a password it stays: MLflow reads both variables, or neither."""
    address, *login = _without_login(user.get("MLFLOW_TRACKING_URI", ""))
    if not all(login):
        return {}
    if all(user.get(variable) for variable in MLFLOW_LOGIN):
        return {"MLFLOW_TRACKING_URI": address}
    return {"MLFLOW_TRACKING_URI": address, **dict(zip(MLFLOW_LOGIN, login, strict=True))}


def _without_login(address: str) -> tuple[str, str, str]:
    """The address of an HTTP server without its login, the user and the password, or empty ones."""
    try:
        parts = urlsplit(address)
    except ValueError:  # whoever uses it says what is wrong with it
        return address, "", ""
    login, _, host = parts.netloc.rpartition("@")
    if not login or parts.scheme not in ("http", "https"):
        return address, "", ""
    name, _, password = login.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(name), unquote(password)
