"""The predictive maintenance function on its real data, without a broker."""

import gzip
import hashlib
import importlib
import importlib.util
import itertools
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.load import load_function
from pulsar_pipeline.testing import Event, check_recovery, run_function

FUNCTION = Path(__file__).resolve().parents[3] / "functions" / "predictive_maintenance"
FAST = {"model": "logistic"}
LABEL_COLUMNS = {"failed", "Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"}


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("predictive_maintenance_prepare", FUNCTION / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pairs(prepare):
    return list(prepare.readings_and_labels(prepare.rows(limit=1500)))


@pytest.fixture
def maintenance(monkeypatch):
    """The function's own modules, by name."""
    monkeypatch.syspath_prepend(str(FUNCTION))
    return lambda name: importlib.import_module(f"maintenance.{name}")


def to_events(prepare, pairs):
    return [Event(e["input"], e["event"], e["key"], e["event_time_ms"]) for e in prepare.interleaved(pairs)]


def reading(reading_id=1, machine="mill-01", **changes):
    record = {
        "machine_id": machine,
        "reading_id": reading_id,
        "at": 1_577_836_800_000 + 60_000 * reading_id,
        "product_type": "L",
        "air_temperature_k": 298.1,
        "process_temperature_k": 308.6,
        "rotational_speed_rpm": 1551.0,
        "torque_nm": 42.8,
        "tool_wear_min": 10.0,
    }
    return Event("readings", {**record, **changes}, machine, record["at"])


def label(reading_id=1, machine="mill-01", failed=False):
    at = 1_577_836_800_000 + 60_000 * (reading_id + 10)
    return Event("labels", {"machine_id": machine, "reading_id": reading_id, "at": at, "failed": failed}, machine, at)


def run(events, **config):
    results = run_function(FUNCTION, events, {**FAST, "metrics_every": 1, **config})
    assert results.errors == []
    return results


def risks(results):
    return [output.record["risk"] for output in results.outputs]


# ── predict and learn ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_an_untaught_model_answers_and_says_that_it_is_untaught(model):
    output = run([reading(5)], model=model).outputs[0]
    assert output.key == "mill-01"
    assert output.record["machine_id"] == "mill-01"
    assert output.record["reading_id"] == 5
    assert output.record["at"].isoformat() == "2020-01-01T00:05:00+00:00"
    assert output.record["learned"] == 0
    assert output.record["risk"] == pytest.approx(1 / 11)
    assert output.record["alert"] is False


def test_a_label_gives_no_output_and_is_learned_once():
    results = run([reading(1), label(1), reading(2)])
    assert [output.record["learned"] for output in results.outputs] == [0, 1]
    assert [output.event for output in results.outputs] == [0, 2]


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_labels_teach(model):
    worn = {"torque_nm": 65.0, "tool_wear_min": 220.0}
    taught = [
        event
        for i in range(1, 201, 2)
        for event in (reading(i), label(i), reading(i + 1, **worn), label(i + 1, failed=True))
    ]
    results = run([*taught, reading(301), reading(302, **worn)], model=model)
    healthy, dangerous = results.outputs[-2:]
    assert dangerous.record["risk"] > 0.5
    assert healthy.record["risk"] < 0.05
    assert (dangerous.record["alert"], healthy.record["alert"]) == (True, False)


def test_the_score_that_counts_is_the_one_given_before_learning():
    # The very same reading again and again: a score taken after learning would be surer than the one published.
    events = [event for i in range(1, 4) for event in (reading(i), label(i, failed=True))]
    results = run(events)
    expected = [-math.log(risk) for risk in risks(results)]
    assert results.metrics["log_loss"] == pytest.approx(sum(expected) / 3)
    assert results.metrics["labels"] == 3


@pytest.mark.parametrize(("alert_at", "alert"), [(0.0, True), (1.0, False)])
def test_the_alert_follows_its_threshold(alert_at, alert):
    assert run([reading(1)], alert_at=alert_at).outputs[0].record["alert"] is alert


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_crashes_change_nothing(model, prepare, pairs):
    events = to_events(prepare, pairs[189:199])
    results = check_recovery(FUNCTION, events, {"model": model, "metrics_every": 1}, commit_every=5, most=3)
    assert len(results.outputs) == 10
    assert list(results.state) == ["o:models/model"]


# ── labels and readings out of step ───────────────────────────────────────────────────────────


def test_a_label_for_a_forgotten_reading_is_late_and_not_learned():
    results = run([reading(1), reading(2), label(1), label(2), reading(3)], remembered_readings=1)
    assert results.outputs[-1].record["learned"] == 1
    assert results.metrics["labels_late"] == 1


def test_a_label_that_comes_twice_is_learned_once():
    results = run([reading(1), label(1), label(1), reading(2)])
    assert results.outputs[-1].record["learned"] == 1
    assert results.metrics["labels_late"] == 1


def test_a_label_before_its_reading_waits_and_does_not_touch_the_prediction():
    before = [reading(1), label(1)]
    with_label = run([*before, label(2, failed=True), reading(2), reading(3)])
    without = run([*before, reading(2), reading(3)])
    assert with_label.metrics["labels_early"] == 1
    assert risks(with_label)[:2] == risks(without)[:2]
    assert [output.record["learned"] for output in with_label.outputs] == [0, 1, 2]


def test_a_label_of_an_unknown_machine_waits_and_is_no_error():
    results = run([label(9, machine="mill-99"), reading(1)])
    assert results.metrics["labels_early"] == 1
    assert results.outputs[0].record["learned"] == 0


def test_a_label_judges_its_own_machines_reading_only():
    results = run([reading(1, "mill-01"), label(1, "mill-02"), reading(2, "mill-01")])
    assert results.outputs[-1].record["learned"] == 0


def test_a_redelivered_reading_is_answered_and_not_learned_again():
    results = run([reading(1), label(1), reading(1), label(1), reading(2)])
    assert len(results.outputs) == 3
    assert results.outputs[-1].record["learned"] == 1


@pytest.mark.parametrize("torque", [math.nan, math.inf])
def test_a_reading_that_is_no_number_is_its_own_error_and_spoils_nothing(torque):
    good = [reading(1), label(1), reading(3), label(3), reading(4)]
    clean = run(good)
    results = run_function(FUNCTION, [*good[:2], reading(2, torque_nm=torque), *good[2:]], FAST)
    assert [(error.event, error.reason) for error in results.errors] == [(2, "invalid")]
    assert "reading 2: a measured value is not a finite number" in str(results.errors[0].error)
    assert risks(results) == risks(clean)


# ── no look-ahead, no leak ────────────────────────────────────────────────────────────────────


def test_later_labels_and_readings_never_change_earlier_predictions(prepare, pairs):
    kept, changed = (
        pairs[:400],
        [
            ({**reading, "torque_nm": 80.0 - reading["torque_nm"]}, {**label, "failed": not label["failed"]})
            for reading, label in pairs[400:500]
        ],
    )
    told = risks(run(to_events(prepare, pairs[:500])))
    retold = risks(run(to_events(prepare, kept + changed)))
    assert told[:400] == retold[:400]
    assert told[400:] != retold[400:]


def test_a_reading_is_predicted_before_its_label_can_be_known(prepare, pairs):
    """Flipping the label of one reading changes nothing up to the label's own time."""
    chosen = 300
    flipped = [*pairs[:chosen], (pairs[chosen][0], {**pairs[chosen][1], "failed": not pairs[chosen][1]["failed"]})]
    told = risks(run(to_events(prepare, pairs[:500])))
    retold = risks(run(to_events(prepare, flipped + pairs[chosen + 1 : 500])))
    first_difference = next(i for i, (a, b) in enumerate(zip(told, retold, strict=True)) if a != b)
    assert first_difference == chosen + prepare.LABEL_DELAY + 1


def test_features_hold_nothing_of_the_label(maintenance, prepare, pairs):
    features = maintenance("features")
    assert not LABEL_COLUMNS & set(features.Features._fields)
    record = pairs[0][0]
    assert not LABEL_COLUMNS & set(record)
    assert features.features_of(record) == features.features_of(record | dict.fromkeys(LABEL_COLUMNS, 1))
    schema = json.loads((FUNCTION / "schemas" / "reading.v1.avsc").read_text())
    assert set(record) == {field["name"] for field in schema["fields"]}


# ── determinism, bounds, quality ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_equal_events_give_equal_predictions(prepare, pairs, model):
    events = to_events(prepare, pairs[:400])
    assert risks(run(events, model=model)) == risks(run(events, model=model))


def test_another_seed_gives_another_forest(prepare, pairs):
    events = to_events(prepare, pairs[:400])
    assert risks(run(events, model="forest", seed=1)) != risks(run(events, model="forest", seed=2))


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_a_state_saved_and_loaded_goes_on_as_if_nothing_happened(maintenance, prepare, pairs, model):
    config = maintenance("config").Config(model=model)
    kept, saved = maintenance("state").State(config), maintenance("state").State(config)
    features_of = maintenance("features").features_of

    def step(state, entry):
        event = entry["event"]
        if entry["input"] == "labels":
            return state.learn(event["machine_id"], event["reading_id"], event["failed"])
        return state.predict(event["machine_id"], event["reading_id"], features_of(event))

    for position, entry in enumerate(prepare.interleaved(pairs[:400])):
        if position % 200 == 0:
            saved = pickle.loads(pickle.dumps(saved))
        assert step(kept, entry) == step(saved, entry)
    assert kept.quality.values() == saved.quality.values()


def test_memory_is_bounded_per_machine_and_in_machines(maintenance):
    module = maintenance("memory")
    memory = module.Memory(readings=20, machines=5)
    for reading_id in range(1, 2001):
        machine = f"mill-{reading_id % 50}"
        memory.remember(machine, reading_id, module.Predicted((0.0,), 0.5))
        memory.judge(machine, reading_id + 10_000, failed=False)
    assert len(memory) <= 5 * 2 * 20


def test_a_machine_heard_lately_is_remembered_over_one_that_is_silent(maintenance):
    module = maintenance("memory")
    memory = module.Memory(readings=20, machines=2)
    predicted = module.Predicted((0.0,), 0.5)
    memory.remember("old", 1, predicted)
    memory.remember("busy", 1, predicted)
    memory.remember("old", 2, predicted)
    memory.remember("new", 1, predicted)
    assert memory.judge("old", 1, failed=False) == predicted
    assert memory.judge("busy", 1, failed=False) is module.Missed.EARLY


def test_the_forest_finds_failures_early_on(prepare, pairs):
    """Over rows 1 to 1,500, first steps included; the bench gives the figures over all the data."""
    forest = run(to_events(prepare, pairs), model="forest", metrics_every=1500).metrics
    line = run(to_events(prepare, pairs), model="logistic", metrics_every=1500).metrics
    assert forest["labels"] == line["labels"] == 1500
    assert forest["roc_auc"] > 0.85
    assert forest["roc_auc"] > line["roc_auc"]
    assert forest["average_precision"] > 2 * line["average_precision"]


# ── config ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"modle": "forest"}, "config.modle: unknown key (known are model, seed,"),
        ({"model": "oracle"}, "config.model: no model 'oracle' (choose of forest, logistic)"),
        ({"trees": "ten"}, "config.trees: expected int, got 'ten'"),
        ({"trees": 0}, "config.trees: expected 1 or more, got 0"),
        ({"alert_at": 1.5}, "config.alert_at: expected a risk from 0 to 1, got 1.5"),
        ({"seed": True}, "config.seed: expected int, got True"),
    ],
)
def test_a_config_that_cannot_be_fails_at_start_and_says_why(config, said):
    with pytest.raises(SpecError) as raised:
        run_function(FUNCTION, [reading(1)], config)
    assert str(raised.value).startswith(said)


def test_the_definition_states_the_defaults(maintenance):
    config = maintenance("config").Config
    definition = load_function(FUNCTION)
    assert config.of(definition.config) == config()
    assert set(definition.config) == set(vars(config()))
    readme = (FUNCTION / "README.md").read_text()
    for key, default in vars(config()).items():
        assert f"| `{key}` | {default} |" in readme


# ── data ──────────────────────────────────────────────────────────────────────────────────────


def test_the_data_are_what_their_readme_says(prepare):
    digest = hashlib.sha256(gzip.decompress(prepare.DATA.read_bytes())).hexdigest()
    assert digest in (FUNCTION / "data" / "README.md").read_text()
    table = prepare.rows()
    assert len(table) == 10_000
    assert sum(row["Machine failure"] == "1" for row in table) == 339


def test_rows_become_readings_and_later_labels_in_order(prepare):
    pairs = list(prepare.readings_and_labels(prepare.rows()))
    readings = [reading for reading, _ in pairs]
    assert [reading["reading_id"] for reading in readings] == list(range(1, 10_001))
    assert all(after["at"] - before["at"] == 60_000 for before, after in itertools.pairwise(readings))
    assert all(label["at"] - reading["at"] == 600_000 for reading, label in pairs)
    assert len({reading["machine_id"] for reading in readings}) == 40
    assert sum(label["failed"] for _, label in pairs) == 339


def test_wear_grows_within_a_machine_until_its_tool_is_changed(prepare):
    wear, changes = {}, 0
    for record, _ in prepare.readings_and_labels(prepare.rows()):
        before = wear.get(record["machine_id"], 0.0)
        changes += record["tool_wear_min"] < before
        assert record["tool_wear_min"] >= before or record["tool_wear_min"] == 0.0
        wear[record["machine_id"]] = record["tool_wear_min"]
    assert changes == 120 - 40


def test_the_command_writes_the_same_files_each_time(prepare, tmp_path, capsys):
    for folder in ("one", "two"):
        prepare.main(["--out", str(tmp_path / folder), "--rows", "200", "--machines", "3"])
    assert "200 readings" in capsys.readouterr().out
    files = {path.name: path.read_text() for path in (tmp_path / "one").iterdir()}
    assert set(files) == {"readings.jsonl", "labels.jsonl", "events.jsonl"}
    assert files == {path.name: path.read_text() for path in (tmp_path / "two").iterdir()}
    assert len(files["events.jsonl"].splitlines()) == 400
    assert not any(word in text for text in files.values() for word in ("TWF", "HDF", "PWF", "OSF", "RNF"))
    times = [json.loads(line)["event_time_ms"] for line in files["events.jsonl"].splitlines()]
    assert times == sorted(times)


def test_the_sample_is_a_slice_of_the_data_with_failures(prepare, pairs):
    sample = [json.loads(line) for line in (FUNCTION / "sample" / "events.jsonl").read_text().splitlines()]
    assert sample == prepare.interleaved(pairs[189:218])
    assert len(sample) <= 60
    assert sum(entry["event"].get("failed", False) for entry in sample) >= 1
    results = run([Event(e["input"], e["event"], e["key"], e["event_time_ms"]) for e in sample])
    assert len(results.outputs) == 29


def test_predictions_do_not_depend_on_keys_or_event_times(prepare, pairs):
    events = to_events(prepare, pairs[:50])
    bare = [replace(event, key=None, event_time_ms=None) for event in events]
    assert risks(run(events)) == risks(run(bare))
