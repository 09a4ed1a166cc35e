"""The JSON behind the page: paging, search, order, one goroutine."""

from __future__ import annotations

import pytest

import gopark


async def waits(ch):
    await ch.recv()


async def sends(ch):
    await ch.send(None)


@pytest.fixture
def busy(run, client):
    """Call a function while 30 receivers and 2 senders wait."""

    def busy(look):
        async def main():
            inward, outward = gopark.Chan(), gopark.Chan()
            for _ in range(30):
                gopark.go(waits, inward)
            for _ in range(2):
                gopark.go(sends, outward)
            await gopark.testing.wait_all_parked()
            try:
                look(client)
            finally:
                inward.close()
                await outward.recv()
                await outward.recv()

        run(main, outside_help=True)

    return busy


def test_state_has_counts_machines_and_the_curve_since_a_moment(busy):
    def look(client):
        first = client.get("state.json").json
        assert first["counts"]["goroutines"] == 33
        assert len(first["history"]) == first["tick"] >= 1
        assert set(first["history"][-1]) == set(first["counts"])
        assert any(m["main"] for m in first["ms"])
        again = client.get("state.json", since=first["tick"]).json
        assert len(again["history"]) == again["tick"] - first["tick"]

    busy(look)


def test_groups_come_in_pages_and_say_how_many_there_are(busy):
    def look(client):
        whole = client.get("groups.json").json
        assert [g["count"] for g in whole["groups"]] == [30, 2, 1]
        assert (whole["total"], whole["length"], whole["matching"]) == (33, 3, 33)
        page = client.get("groups.json", offset=1, limit=1).json
        assert [g["count"] for g in page["groups"]] == [2]
        assert page["length"] == 3
        assert client.get("groups.json", offset=99).json["groups"] == []

    busy(look)


@pytest.mark.parametrize(
    ("query", "counts"),
    [
        ({"q": "waits"}, [30]),
        ({"q": "SENDS chan"}, [2]),
        ({"q": "test_api.py chan send"}, [2]),
        ({"q": "nothing"}, []),
        ({"q": "1"}, [1]),
        ({"state": "chan send"}, [2]),
        ({"state": "chan send", "q": "waits"}, []),
    ],
)
def test_groups_can_be_searched(busy, query, counts):
    def look(client):
        if query.get("q") == "1":  # in every file and line there is a 1; but not a 987654321
            goid = client.get("groups.json", q="sends").json["groups"][0]["ids"][0]
            client.get("groups.json", q=str(goid))
            assert client.get("groups.json", q="987654321").json["groups"] == []
            return
        found = client.get("groups.json", **query).json
        assert [g["count"] for g in found["groups"]] == counts
        assert found["matching"] == sum(counts)

    busy(look)


def test_a_goroutine_is_found_by_its_number(busy):
    def look(client):
        (group,) = client.get("groups.json", state="chan send").json["groups"]
        for goid in group["ids"]:
            found = client.get("groups.json", q=str(goid), state="chan send").json
            assert [g["key"] for g in found["groups"]] == [group["key"]]

    busy(look)


@pytest.mark.parametrize(
    ("sort", "order"),
    [("count", ["waits", "sends"]), ("name", ["sends", "waits"]), ("age", ["waits", "sends"])],
)
def test_groups_can_be_ordered(busy, sort, order):
    def look(client):
        found = client.get("groups.json", sort=sort).json["groups"]
        names = [group["frames"][0][0].rpartition(".")[2] for group in found if group["frames"]]
        assert [name for name in names if name in ("waits", "sends")] == order
        assert len(found) == 3

    busy(look)


def test_the_goroutines_of_a_group_come_in_pages(busy):
    def look(client):
        key = client.get("groups.json", q="waits").json["groups"][0]["key"]
        seen = []
        for offset in (0, 20):
            found = client.get("goroutines.json", group=key, offset=offset, limit=20).json
            assert found["length"] == 30
            seen += [g["id"] for g in found["goroutines"]]
            assert all(g["age"] >= 0 for g in found["goroutines"])
        assert len(seen) == len(set(seen)) == 30
        assert client.get("goroutines.json", group="no").status == 404

    busy(look)


def test_one_goroutine_comes_with_its_stack_and_what_it_waits_on(busy):
    def look(client):
        goid = client.get("groups.json", q="sends").json["groups"][0]["ids"][0]
        found = client.get("goroutine.json", id=goid).json
        assert found["stack"].startswith(f"goroutine {goid} [chan send]:\n")
        assert "created by " in found["stack"]
        assert found["waits_on"][0].startswith("Chan 0/0 0x")
        gone = client.get("goroutine.json", id=10**9)
        assert gone.status == 404
        assert "no goroutine 1000000000" in gone.text

    busy(look)


def test_the_graph_is_served(busy):
    def look(client):
        found = client.get("graph.json").json
        assert [n["count"] for n in found["nodes"] if n["what"] == "chan receive"] == [30]

    busy(look)


@pytest.mark.parametrize("query", [{"offset": "x"}, {"limit": "-1"}, {"limit": "9" * 30}])
def test_a_parameter_that_is_no_number_is_an_error_that_says_so(client, query):
    got = client.get("groups.json", **query)
    assert got.status == 400
    assert "must be a number" in got.text


def test_a_page_is_never_larger_than_it_may_be(client):
    assert client.get("groups.json", limit=10**9).status == 200


def test_who_asks_again_soon_gets_the_same_look(busy):
    def look(client):
        first = client.get("groups.json").json
        second = client.get("goroutines.json", group=first["groups"][0]["key"]).json
        assert second["length"] == 30
        assert client.get("groups.json", sort="age").json["at"] == first["at"]

    busy(look)
