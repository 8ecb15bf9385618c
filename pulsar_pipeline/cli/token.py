"""`pulsar-pipeline token`: tokens that Pulsar and the query API believe, the keys behind them, and state keys."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from pulsar_pipeline.cli.options import PlatformOption
from pulsar_pipeline.cli.output import err, print_json
from pulsar_pipeline.cluster.connect import read_token
from pulsar_pipeline.cluster.credentials import write_credential
from pulsar_pipeline.cluster.state_keys import new_state_key
from pulsar_pipeline.cluster.tokens import (
    SigningKey,
    claims_of,
    load_private_key,
    load_public_key,
    load_secret_key,
    mint,
    new_secret_key,
    unverified_claims,
)
from pulsar_pipeline.errors import TokenError
from pulsar_pipeline.spec.load import load_platform
from pulsar_pipeline.spec.model import Role
from pulsar_pipeline.spec.units import Seconds

_ROLE: TypeAdapter[str] = TypeAdapter(Role)
_SECONDS: TypeAdapter[int] = TypeAdapter(Seconds)
_UNLIMITED = -1


def _role(text: str) -> str:
    try:
        return _ROLE.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter("a role is letters, digits and . _ - : @, at most 128 of them") from error


def _valid_for(text: str) -> timedelta:
    try:
        seconds = _SECONDS.validate_python(text)
        if seconds == _UNLIMITED:
            raise typer.BadParameter("leave --expires out for a token that never expires")
        return timedelta(seconds=seconds)
    except (ValidationError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is not a duration; write for example 30d or 12h") from error


SecretKeyOption = Annotated[Path | None, typer.Option(help="The clusters' secret key.")]
OutOption = Annotated[Path | None, typer.Option(help="Write there, readable by you only, instead of printing.")]


def register(app: typer.Typer) -> None:
    token = typer.Typer(
        name="token", help="Tokens that Pulsar and the query API believe, and their keys.", no_args_is_help=True
    )
    token.command(
        epilog="Examples: `pulsar-pipeline token create --role acme-app --expires 30d` · "
        "`pulsar-pipeline token create --role acme-functions --out .local/secrets/functions/acme.token`"
    )(create)
    token.command(
        epilog="Examples: `pulsar-pipeline token show app.token` · `pulsar-pipeline token show - < app.token`"
    )(show)
    key = typer.Typer(name="key", help="Keys that sign tokens.", no_args_is_help=True)
    key.command("create", epilog="Example: `pulsar-pipeline token key create --out token.key`")(create_key)
    token.add_typer(key)
    state_key = typer.Typer(
        name="state-key", help="Keys that authenticate the state of a tenant's functions.", no_args_is_help=True
    )
    state_key.command(
        "create", epilog="Example: `pulsar-pipeline token state-key create --out .local/secrets/functions/acme.key`"
    )(create_state_key)
    token.add_typer(state_key)
    app.add_typer(token)


def create(
    *,
    role: Annotated[str, typer.Option(parser=_role, metavar="ROLE", help="Who the token's holder is.")],
    expires: Annotated[
        timedelta | None,
        typer.Option(parser=_valid_for, metavar="DURATION", help="For how long, for example 30d; for ever by default."),
    ] = None,
    secret_key_file: SecretKeyOption = None,
    private_key_file: Annotated[Path | None, typer.Option(help="The private key of the clusters' key pair.")] = None,
    platform: PlatformOption,
    out: OutOption = None,
) -> None:
    """Make a token, signed with the given key, or with the secret key that the platform file names."""
    token = mint(role, _signing_key(secret_key_file, private_key_file, platform), valid_for=expires)
    if out is None:
        sys.stdout.write(token + "\n")
    else:
        _write(out, token.encode())
        err.print(f"a token for {role} is in {out}", markup=False)


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File with the token, or - for standard input.")],
    *,
    secret_key_file: SecretKeyOption = None,
    public_key_file: Annotated[Path | None, typer.Option(help="The public key of the clusters' key pair.")] = None,
) -> None:
    """Show what a token claims, as JSON; with a key, check that it is to be believed."""
    token = sys.stdin.read().strip() if file == "-" else read_token(Path(file))
    if secret_key_file is not None:
        claims, verified = claims_of(token, load_secret_key(secret_key_file)), True
    elif public_key_file is not None:
        claims, verified = claims_of(token, load_public_key(public_key_file)), True
    else:
        claims, verified = unverified_claims(token), False
    print_json({"claims": claims, "expires": _expiry(claims), "verified": verified})


def create_key(
    *, out: Annotated[Path, typer.Option(help="Write there, readable by you only; never over an existing file.")]
) -> None:
    """Make a secret key. Whoever has it can make tokens for every role."""
    _refuse_existing(out, "every token signed with it would be lost")
    _write(out, new_secret_key())
    err.print(f"a new secret key is in {out}", markup=False)


def create_state_key(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="Write there, readable by you only; never over an existing file. Instances look for TENANT.key in the "
            "folder that PULSAR_PIPELINE_FUNCTION_TOKENS names to the functions worker, beside TENANT.token."
        ),
    ],
) -> None:
    """Make the key that a tenant's exactly-once functions authenticate their logged state with.

    One per tenant, the same file in every cluster of the tenant. Keep a copy: state is not believed without it.
    """
    _refuse_existing(out, "state that was logged with it would not be believed any more")
    _write(out, new_state_key())
    err.print(f"a new state key is in {out}", markup=False)


def _refuse_existing(key: Path, loss: str) -> None:
    if key.exists():
        raise TokenError(
            f"there is a key already, and {loss}",
            where=str(key),
            mend="choose another file, or delete this one yourself",
        )


def _signing_key(secret: Path | None, private: Path | None, platform: Path) -> SigningKey:
    if secret is not None and private is not None:
        raise typer.BadParameter("give --secret-key-file or --private-key-file, not both")
    if private is not None:
        return load_private_key(private)
    if secret is not None:
        return load_secret_key(secret)
    clusters = load_platform(platform).clusters.values()
    keys = {cluster.tokens.secret_key_file for cluster in clusters if cluster.tokens} - {None}
    if len(keys) != 1:
        raise TokenError(
            "the platform file names no secret key" if not keys else "the clusters have different secret keys",
            where=str(platform),
            mend="say which with --secret-key-file or --private-key-file",
        )
    return load_secret_key(next(key for key in keys if key is not None))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_credential(path, content)
    except OSError as error:
        raise TokenError(f"cannot write: {error.strerror}", where=str(path)) from error


def _expiry(claims: dict[str, Any]) -> str | None:
    expires = claims.get("exp")
    return None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat()
