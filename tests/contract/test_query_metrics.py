from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from pulsar_pipeline import metrics
from tests.support.api import Api

RISK = "/v1/tenants/acme/models/risk/predictions"
TEMPLATE = "/v1/tenants/{tenant}/models/{model}/predictions/{entity:path}"


def scrape(api):
    response = api.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }, response.text


def test_requests_are_counted_by_template_and_status(tmp_path):
    api = Api(tmp_path)
    headers = api.headers("acme-app")
    for path, times in ((f"{RISK}/m-1", 3), (f"{RISK}/secret-entity", 2), ("/no/such/path", 1)):
        for _ in range(times):
            api.http.get(path, headers=headers)
    api.http.get(f"{RISK}/m-1")
    samples, text = scrape(api)

    def count(route, status, method="GET"):
        return samples[metrics.HTTP_REQUESTS.name, ("method", method), ("route", route), ("status", status)]

    assert (count(TEMPLATE, "200"), count(TEMPLATE, "404"), count(TEMPLATE, "401")) == (3, 2, 1)
    assert count("unmatched", "404", "any") == 1
    assert samples[f"{metrics.HTTP_SECONDS.name}_count", ("method", "GET"), ("route", TEMPLATE)] == 6
    assert "secret-entity" not in text
    assert "/no/such" not in text


def test_views_are_measured(tmp_path):
    api = Api(tmp_path)
    api.clock.advance(3_500)
    samples, _ = scrape(api)

    def value(metric, view="risk", **labels):
        return samples.get((metric.name, *sorted({"tenant": "acme", "view": view, **labels}.items())))

    assert (value(metrics.VIEW_READY), value(metrics.VIEW_ROWS), value(metrics.VIEW_LAG_SECONDS)) == (1, 3, 3.5)
    assert (value(metrics.VIEW_APPLIED, partition="0"), value(metrics.VIEW_SKIPPED, partition="0")) == (3, 0)
    assert (value(metrics.VIEW_DROPPED, partition="0"), value(metrics.VIEW_GAPS, partition="0")) == (0, 0)
    assert value(metrics.VIEW_POSITION_LEDGER, partition="0") == 1
    assert value(metrics.VIEW_POSITION_ENTRY, partition="0") == 2
    assert (value(metrics.VIEW_READY, view="late"), value(metrics.VIEW_LAG_SECONDS, view="late")) == (0, None)


def test_every_metric_of_the_table_is_exposed_under_its_name(tmp_path):
    api = Api(tmp_path)
    api.http.get("/healthz")
    _, text = scrape(api)
    for metric in metrics.QUERY_METRICS:
        assert f"# TYPE {metric.name} {metric.kind}" in text
        assert metric.remedy
