"""Who asks, and what they may see. Tokens are the ones that Pulsar itself takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.tokens import TokenVerifier, unverified_claims
from pulsar_pipeline.errors import NotFound, TokenError, Unauthenticated
from pulsar_pipeline.query.problems import CHALLENGE
from pulsar_pipeline.view.models import ServedTenant, ServedView
from pulsar_pipeline.view.reader import ViewReader

REMEMBERED = 10_000
"""Tokens believed at once; beyond, all are checked again."""


class Authenticator:
    """The role a request's `Authorization` header stands for. Believed tokens are remembered until they expire."""

    def __init__(self, verifier: TokenVerifier, clock: Clock) -> None:
        self._verifier, self._clock = verifier, clock
        self._believed: dict[str, tuple[str, float]] = {}

    def role(self, authorization: str | None) -> str:
        """Raises Unauthenticated without a token, or with one that is not to be believed."""
        if authorization is None:
            raise Unauthenticated("a bearer token is needed", where=CHALLENGE)
        known = self._believed.get(authorization)
        if known is not None and self._clock.now_ms() < known[1]:
            return known[0]
        return self._believe(authorization)

    def _believe(self, authorization: str) -> str:
        self._believed.pop(authorization, None)
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the authorization is not of the form `Bearer TOKEN`", where=CHALLENGE)
        try:
            role = self._verifier.role_of(token)
        except TokenError as error:
            raise Unauthenticated(error.what, where=f'{CHALLENGE}, error="invalid_token"') from None
        if len(self._believed) >= REMEMBERED:
            self._believed.clear()
        self._believed[authorization] = role, _expiry_ms(unverified_claims(token))
        return role


def _expiry_ms(claims: dict[str, Any]) -> float:
    expiry = claims.get("exp")
    return float("inf") if expiry is None else float(expiry) * 1000


@dataclass(frozen=True, slots=True)
class OpenView:
    """A view with its store."""

    view: ServedView
    reader: ViewReader


class Catalogue:
    """Every view of the cluster, shown to each role as if what it may not read did not exist.

    A role reads a tenant's views when it is an admin role of the tenant, one of its `api.roles`, its functions role,
    or one of the operator's `admin_roles`; and single views when the view's namespace lets it `consume`. No other role
    counts, a superuser of Pulsar included.
    """

    def __init__(self, tenants: Iterable[ServedTenant], views: Iterable[OpenView], admin_roles: frozenset[str]) -> None:
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._views = {(view.view.tenant, view.view.name): view for view in views}
        self._admin_roles = admin_roles

    @property
    def views(self) -> Iterable[OpenView]:
        """All of them, for metrics and readiness."""
        return self._views.values()

    def model(self, role: str, tenant: str, model: str) -> OpenView:
        """Raises NotFound, the same for a view that is not there and for one that is another's."""
        found = self._views.get((tenant, model))
        if found is None or not self._may(role, found.view.roles):
            raise NotFound("no such model, or none that this token may read")
        return found

    def models(self, role: str, tenant: str) -> list[OpenView]:
        """What the role may read of the tenant; empty for a tenant that has nothing to read yet.
        Raises NotFound, the same for a tenant that is not there and for another's."""
        visible = [
            view for (name, _), view in self._views.items() if name == tenant and self._may(role, view.view.roles)
        ]
        known = self._tenants.get(tenant)
        if not visible and (known is None or not self._may(role, known.roles)):
            raise NotFound("no such tenant, or none that this token may read")
        return visible

    def _may(self, role: str, roles: frozenset[str]) -> bool:
        return role in roles or role in self._admin_roles
