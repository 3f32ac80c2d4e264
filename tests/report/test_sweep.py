"""Test the results of a sweep: comparison of the families, sentences, tables and plot."""

import xml.etree.ElementTree as ET

import pytest

from tflite_sparse.report.page import plots
from tflite_sparse.report.page import sweep as sweep_page
from tflite_sparse.report.text import sweep as sweep_tables
from tflite_sparse.report.text import sweep_comparison
from tflite_sparse.results.export import Interval
from tflite_sparse.results.sweep import Measured, Point, SweepReport
from tflite_sparse.scoring import frontier
from tflite_sparse.scoring.frontier import Lead

DENSE = {0.25: (26_000, 0.86), 0.5: (80_000, 0.89), 1.0: (300_000, 0.92)}
SPARSE = {0.75: (170_000, 0.918), 0.9: (80_000, 0.91), 0.97: (30_000, 0.88)}
BLOCKED = {0.9: (44_000, 0.88)}


CHANNELS = {0.25: (180_000, 0.917), 0.5: (82_000, 0.9), 0.75: (27_000, 0.868)}


def point(width, sparsity, block, seed, size, accuracy):
    measured = Measured(
        file_bytes=size,
        gzip_bytes=size * 4 // 5,
        dense_bytes=300_000,
        nonzeros=size // 2 if sparsity else size,
        weights=300_000,
        accuracy=accuracy,
        float32_accuracy=accuracy + 0.001,
        metric="top1",
        samples=1000,
        sha256=f"{seed:064x}",
        multiply_adds=10 * size if sparsity == 0 or block == "channel" else 3_000_000,
    )
    name = f"{width:g}-{sparsity:g}-{block}-{seed}"
    return Point(name=name, width=width, sparsity=sparsity, block=block, seed=seed, measured=measured, seconds=1.0)


def report(points, failures=()):
    measured = [(each, each.measured) for each in points if each.measured is not None]
    return SweepReport(
        tool="tflite-sparse 0",
        model="built-in",
        data="some",
        settings={},
        points=points,
        comparisons=sweep_comparison.comparisons(measured),
        front=sweep_comparison.front(measured),
        failures=list(failures),
        seconds={},
    )


def grid(seeds=(0, 1, 2), sparse=SPARSE, dense=DENSE, blocked=BLOCKED):
    """Return the families, the sparse one more accurate by 0.001 for each further seed."""
    return [
        *(point(width, 0, "1x1", seed, *at) for width, at in dense.items() for seed in seeds),
        *(
            point(1.0, zeros, "1x1", seed, size, a + seed / 1000)
            for zeros, (size, a) in sparse.items()
            for seed in seeds
        ),
        *(point(1.0, zeros, "1x16", seed, *at) for zeros, at in blocked.items() for seed in seeds),
        *(point(0.5, 0.9, "1x1", seed, 30_500, 0.5) for seed in seeds),
    ]


@pytest.fixture(scope="module")
def full():
    return report(grid())


@pytest.fixture(scope="module")
def with_channels():
    pruned = [point(1.0, share, "channel", seed, *at) for share, at in CHANNELS.items() for seed in (0, 1, 2)]
    return report([*grid(), *pruned])


def comparison(found, axis="file_bytes", block="1x1"):
    return next(each for each in found.comparisons if (each.axis, each.block) == (axis, block))


def test_each_block_is_compared_along_each_axis(full):
    assert [(each.block, each.axis) for each in full.comparisons] == [
        (block, axis) for block in ("1x1", "1x16") for axis in ("file_bytes", "gzip_bytes", "nonzeros")
    ]


def test_the_margin_at_a_size_that_both_were_measured_at(full):
    margin = next(each for each in comparison(full).margins if each.budget == pytest.approx(80_000))
    assert margin.sparse == pytest.approx(0.911)
    assert margin.dense == pytest.approx(0.89)
    assert margin.points == pytest.approx(2.1)
    assert margin.interval == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)
    assert margin.seeds == 3


def test_smaller_sparse_models_are_of_no_family(full):
    """Points of width 0.5 with zeros would pull the curve down."""
    assert min(each.sparse for each in comparison(full).margins) > 0.87


def test_the_sentence_names_budget_margin_and_spread(full):
    first, *_, last = comparison(full).sentences
    assert first.startswith("At 30.0 kB the large sparse model (width 1) is 1.")
    assert "\N{PLUS-MINUS SIGN} 0.2 points ahead of the small dense one" in first
    assert "30.0 kB to 170.0 kB" in last
    assert "3 seeds" in last


def test_at_equal_non_zeros(full):
    assert "non-zero weights" in comparison(full, "nonzeros").sentences[0]
    assert comparison(full, "nonzeros").highest == pytest.approx(85_000)


def test_a_single_seed_has_no_interval():
    found = comparison(report(grid(seeds=(0,))))
    assert {each.interval for each in found.margins} == {None}
    assert "of one seed there is no interval" in found.sentences[-1]


def test_a_single_seed_has_the_interval_of_its_samples():
    alone = point(1.0, 0.9, "1x1", 0, 80_000, 0.9)
    measured = alone.measured.model_copy(update={"interval": Interval(low=0.8798, high=0.9171, method="wilson")})
    alone = alone.model_copy(update={"measured": measured})
    (row,) = sweep_tables.points(report([alone])).rows
    assert "90.00 [87.98, 91.71]" in row
    (row,) = sweep_tables.points(report([alone, alone.model_copy(update={"seed": 1})])).rows
    assert "90.00 +-0.00" in row


def test_where_others_failed_the_cure_is_another():
    measured = [(each, each.measured) for each in grid(seeds=(0,))]
    (found, *_) = sweep_comparison.comparisons(measured, 3)
    assert "--resume" in found.sentences[-1]


def test_what_may_be_chance_is_called_so(full):
    assert not any("chance" in sentence for sentence in comparison(full).sentences)
    spread = {0: -0.05, 1: 0.0, 2: 0.05}
    uneven = [
        each.model_copy(
            update={
                "measured": each.measured.model_copy(update={"accuracy": each.measured.accuracy + spread[each.seed]})
            }
        )
        if each.sparsity
        else each
        for each in grid()
    ]
    found = comparison(report(uneven))
    assert found.sentences[0].endswith("which may be chance.")
    assert "at 0 of them the 95 % interval" in found.sentences[-1]


@pytest.mark.parametrize(
    ("difference", "interval", "certain", "words"),
    [
        (0.25, 0.25, False, "25.0 ± 25.0 points ahead of the small dense one"),
        (-0.25, 0.25, False, "25.0 ± 25.0 points behind the small dense one"),
        (0.25, 0.2499, True, "25.0 ± 25.0 points ahead of the small dense one"),
        (-0.25, 0.2499, True, "25.0 ± 25.0 points behind the small dense one"),
        (0.0, 0.0, False, "0.0 ± 0.0 points ahead of the small dense one"),
    ],
)
def test_a_margin_as_wide_as_its_interval_may_be_chance(difference, interval, certain, words, monkeypatch):
    def lead(ours, theirs, budget):
        return Lead(budget, 0.5 + difference, 0.5, difference, interval, 3)

    monkeypatch.setattr(frontier, "lead", lead)
    found = comparison(report(grid()))
    first, *_, last = found.sentences
    assert words in first
    assert first.endswith("which may be chance.") is not certain
    count = len(found.margins)
    assert f"ahead at {count if difference > 0 else 0} of {count} budgets" in last
    assert f"at {count if certain else 0} of them the 95 % interval" in last


def test_a_single_size_is_said_to_be_one():
    found = comparison(report(grid(sparse={0.9: (80_000, 0.9)})))
    assert len(found.margins) == 1
    assert found.sentences[-1].startswith("That is the only size that both families reach; at ")


def test_no_common_budget_is_said():
    found = comparison(report(grid(sparse={0.5: (400_000, 0.93), 0.75: (350_000, 0.92)})))
    assert found.lowest is None
    assert found.margins == []
    assert "takes 350.0 kB to 400.0 kB, the small dense ones take 26.0 kB to 300.0 kB" in found.sentences[0]


def test_without_dense_models_the_cure_is_said():
    assert "put 0 among --sparsity" in comparison(report(grid(dense={}))).sentences[0]


def test_behind_is_said_too():
    worse = {zeros: (size, accuracy - 0.1) for zeros, (size, accuracy) in SPARSE.items()}
    sentences = comparison(report(grid(sparse=worse))).sentences
    assert "points behind the small dense one" in sentences[0]
    assert "ahead at 0 of" in sentences[-1]


def test_the_front(full):
    assert full.front == [
        "width 0.25, dense",
        "width 1, 0.97 zeros",
        "width 1, 0.9 zeros",
        "width 1, 0.75 zeros",
        "width 1, dense",
    ]


def test_tables_and_markdown(full):
    table = sweep_tables.points(full)
    assert len(table.rows) == len(DENSE) + len(SPARSE) + len(BLOCKED) + 1
    text = sweep_tables.markdown(full, "sweep.svg")
    assert "## At equal gzip bytes, blocks 1x16" in text
    assert "| 80.0 kB | 91.10% | 89.00% | +2.10 | 0.25 |" in text


def test_failures_are_told():
    failed = Point(name="bad", width=1, sparsity=0.9, block="1x1", seed=0, error="no luck", seconds=1)
    found = report([failed], ["bad: no luck"])
    assert sweep_tables.sentences(found) == [
        "Nothing to compare: no large sparse model was measured.",
        "FAILED bad: no luck",
    ]
    assert sweep_tables.point_in_words(failed) == "bad FAILED: no luck"
    assert "FAILED bad: no luck" in sweep_tables.markdown(found, "sweep.svg")


def test_the_plot_shows_every_family(full, tmp_path):
    plots.frontier(full, tmp_path / "sweep.svg")
    again = tmp_path / "again.svg"
    plots.frontier(full, again)
    drawn = (tmp_path / "sweep.svg").read_bytes()
    assert drawn == again.read_bytes()
    ET.fromstring(drawn)
    for words in ("small dense", "large sparse", "large sparse, blocks 1x16", "smaller, sparse", "file (kB)"):
        assert f"<!-- {words} -->".encode() in drawn


def test_the_report_survives_the_disk(full):
    assert SweepReport.model_validate_json(full.model_dump_json()) == full


def test_whole_channels_are_compared_at_equal_bytes_and_at_equal_multiply_adds(with_channels):
    blocks = {
        block: [each.axis for each in with_channels.comparisons if each.block == block] for block in ("1x1", "channel")
    }
    assert blocks == {
        "1x1": ["file_bytes", "gzip_bytes", "nonzeros"],
        "channel": ["file_bytes", "gzip_bytes", "nonzeros", "multiply_adds"],
    }
    found = comparison(with_channels, "multiply_adds", "channel")
    margin = next(each for each in found.margins if each.budget == pytest.approx(800_000))
    assert margin.dense == pytest.approx(0.89)
    assert margin.sparse == pytest.approx(0.8993, abs=1e-4)
    assert found.sentences[0].startswith("At 270,000 multiply-adds the large sparse model (width 1, whole channels) is")
    assert any("270,000 multiply-adds" in sentence for sentence in sweep_tables.sentences(with_channels))
    assert "## At equal multiply-adds, whole channels" in sweep_tables.markdown(with_channels, "sweep.svg")


def test_multiply_adds_are_shown_where_they_differ(full, with_channels, tmp_path):
    assert "multiply-adds" not in sweep_tables.points(full).headings
    table = sweep_tables.points(with_channels)
    by_name = {row[:3]: dict(zip(table.headings, row, strict=True)) for row in table.rows}
    assert by_name["1", "0.5", "channel"]["multiply-adds"] == "820,000"
    assert by_name["1", "0.9", "1x1"]["multiply-adds"] == "3,000,000"
    plots.frontier(with_channels, tmp_path / "sweep.svg")
    drawn = (tmp_path / "sweep.svg").read_text()
    for words in ("large sparse, whole channels", "multiply-adds (M)", "file (kB)"):
        assert words in drawn
    page = sweep_page.render(with_channels)
    assert "<h2>Accuracy over multiply-adds</h2>" in page
    assert "width 1, 0.5 of channels: 0.9000 in 820,000 multiply-adds" in page
    assert "Accuracy over multiply-adds" not in sweep_page.render(full)


def test_points_of_earlier_versions_have_no_multiply_adds(with_channels):
    earlier = [
        each.model_copy(update={"measured": each.measured.model_copy(update={"multiply_adds": None})})
        for each in with_channels.points
    ]
    found = report(earlier)
    assert {each.axis for each in found.comparisons} == {"file_bytes", "gzip_bytes", "nonzeros"}
    assert "multiply-adds" not in sweep_tables.points(found).headings
    some = report([*earlier[:1], *with_channels.points[1:]])
    assert sweep_tables.points(some).rows[0][sweep_tables.points(some).headings.index("multiply-adds")] == ""
