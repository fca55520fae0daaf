"""The real files of the benchmarks, where the machine has some of them."""

import pytest

from steppo_jax.hosts import records
from steppo_jax.hosts.hotpotqa import HotpotQA
from steppo_jax.hosts.hotpotqa.questions import read
from steppo_jax.hosts.paper_search_real import PaperSearchReal
from steppo_jax.hosts.webshop import score, shop
from steppo_jax.hosts.webshop.catalogue import Product
from tests.hosts.data_cases import REAL, need, play, write

need("bm25s", "rapidfuzz")


def real(name: str):
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    return path


@pytest.mark.parametrize(("panel", "size"), [("dev", 1000), ("real", 50)])
def test_paper_search_plays_real_queries(panel, size):
    real("AutoScholarQuery_dev.jsonl"), real("RealScholarQuery_test.jsonl")
    env = PaperSearchReal(data=str(REAL))
    env.check()
    assert env.size(panel) == size
    player, found, right = env.make(), 0, 0
    for task in range(0, size, size // 50):
        *_, info, _ = play(player, panel, task)
        found += info["outcome"]["success"]
        right += info["outcome"]["recall"]
    assert found >= 48 and right >= 48  # titles find themselves


def test_hotpotqa_questions_are_read(tmp_path):
    pytest.importorskip("pyarrow", reason="pip install pyarrow")
    path = real("hotpotqa_validation.parquet")
    rows = [read(where, row)[0] for where, row in records.read(path)]
    assert len(rows) == 7405
    assert rows[1].answers == ("Chief of Protocol",)
    assert rows[0].question.startswith("Were Scott Derrickson and Ed Wood")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    write(tmp_path / "corpus.jsonl", [{"title": "Ed Wood", "text": "An American."}])
    env = HotpotQA(data=str(tmp_path))
    env.check()
    assert env.size("validation") == 7405
    seen, info = env.make().reset(options={"panel": "validation", "task": 0})
    assert "Ed Wood: An American." in seen and info["expert"] == "<answer>yes</answer>"


def product_of(truth) -> Product:
    """What a goal asks for, and no more: product pages are not at hand."""
    options = {o["name"]: (o["value"].lower(),) for o in truth["goal_options"]}
    return Product(
        asin=truth["asin"],
        title=truth["instruction"],
        query="",
        product_category="",
        description="",
        bullets=(),
        attributes=tuple(truth["attributes"]),
        price=truth["price_upper"],
        price_tag="",
        options=options,
    )


@pytest.mark.parametrize(("panel", "size"), [("train", 6710), ("test", 200)])
def test_webshop_goals_are_read_and_can_be_met(panel, size):
    pytest.importorskip("pyarrow", reason="pip install pyarrow")
    rows = list(records.read(real(f"webshop_{panel}.parquet")))
    assert len(rows) == size
    for where, row in rows[:: size // 100]:
        truth = row["reward_model"]["ground_truth"]
        product = product_of(truth)
        goal = shop.goal_of_row(where, row, {product.asin: product})
        chosen = {name: values[0] for name, values in product.options.items()}
        assert score.score(goal, product, chosen) == 1.0, where
        if goal.options and not any(o in product.title for o in goal.options):
            assert score.score(goal, product, {}) < 1.0
