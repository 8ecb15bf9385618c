"""A client of the query API, for `pulsar-pipeline query`. Problem details come back as the errors of this product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from pulsar_pipeline.errors import NotFound, QueryError, Unauthenticated, ViewUnavailable

_BY_STATUS: Mapping[int, type[QueryError]] = {401: Unauthenticated, 404: NotFound, 503: ViewUnavailable}


class QueryClient:
    """Asks one query API. Use as a context manager."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout_s)

    def __enter__(self) -> QueryClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def prediction(self, tenant: str, model: str, entity: str) -> dict[str, Any]:
        """The latest prediction of one entity (`query.shapes.Prediction` as JSON).

        Raises Unauthenticated, NotFound, ViewUnavailable or QueryError.
        """
        return self._ask("GET", f"{_model(tenant, model)}/predictions/{quote(entity, safe='')}")

    def predictions(self, tenant: str, model: str, entities: Sequence[str]) -> dict[str, Any]:
        """Of many entities, from one state of the view (`query.shapes.BatchAnswer` as JSON). Raises as above."""
        return self._ask("POST", f"{_model(tenant, model)}/predictions:batchGet", json={"entities": list(entities)})

    def models(self, tenant: str) -> list[dict[str, Any]]:
        """The models that the token's role may query (`query.shapes.Model` as JSON). Raises as above."""
        found: list[dict[str, Any]] = self._ask("GET", f"/v1/tenants/{quote(tenant, safe='')}/models")["models"]
        return found

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **options)
            document = response.json() if response.content else {}
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise QueryError(
                f"no answer: {error}", where=self._url, mend="pulsar-pipeline serve runs a query API; is this its URL?"
            ) from error
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise QueryError(f"answered {response.status_code} with something else than JSON", where=self._url)
        if response.is_success:
            return document
        raise _failure(response.status_code, document, self._url)


def _model(tenant: str, model: str) -> str:
    return f"/v1/tenants/{quote(tenant, safe='')}/models/{quote(model, safe='')}"


def _failure(status: int, problem: Mapping[str, Any], url: str) -> QueryError:
    what = str(problem.get("detail") or problem.get("title") or f"answered {status}")
    mend = problem.get("mend")
    return _BY_STATUS.get(status, QueryError)(what, where=url, mend=None if mend is None else str(mend))
