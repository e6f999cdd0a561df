"""Two generations: whatever happens to one, the other stays, and nothing wrong is ever believed."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.model import Survivor
from bms_daemon.runtime.journal import Journal, JournalError, NewerSchema, pack, unpack

OLD = Survivor(
    soc=0.41,
    soc_sigma=0.02,
    latched=("CELL_OV",),
    closes=7,
    commissioned_hash="ab12",
    boots=3,
    cell_soc=(0.41, 0.43),
    cell_soc_sigma=(0.02, 0.03),
    cell_health=(98.7, 1.0, -0.25),
)
NEW = replace(OLD, soc=0.42, latched=("CELL_OV", "WELD"), closes=8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pack.journal"


def slot(path: Path, letter: str) -> Path:
    return path.with_name(f"{path.name}.{letter}")


def two_generations(path: Path) -> Path:
    """OLD in .a, NEW in .b; returns the newer slot."""
    journal = Journal(path)
    journal.save(OLD)
    journal.save(NEW)
    return slot(path, "b")


def test_a_missing_journal_is_no_survivor_and_nothing_is_wrong(path: Path) -> None:
    loaded = Journal(path).load()
    assert loaded.survivor is None
    assert loaded.whole
    assert "no journal" in loaded.note


def test_what_was_saved_last_is_loaded(path: Path) -> None:
    two_generations(path)
    loaded = Journal(path).load()
    assert loaded.survivor == NEW
    assert loaded.note == "pack.journal.b, generation 2"
    assert loaded.whole


def test_a_new_process_goes_on_with_the_older_slot(path: Path) -> None:
    two_generations(path)
    Journal(path).save(replace(NEW, closes=9))
    assert unpack(slot(path, "a").read_bytes())[0] == 3
    assert unpack(slot(path, "b").read_bytes())[1] == NEW


def test_an_unknown_state_of_charge_survives_as_unknown(path: Path) -> None:
    Journal(path).save(replace(OLD, soc=math.nan, soc_sigma=math.inf))
    survivor = Journal(path).load().survivor
    assert survivor is not None
    assert math.isnan(survivor.soc) and math.isnan(survivor.soc_sigma)
    assert survivor.latched == OLD.latched


def test_the_slot_begins_as_documented_and_its_crc_covers_head_and_payload() -> None:
    data = pack(OLD, 5)
    assert struct.unpack("<4sHQI", data[:18]) == (b"BMSJ", 2, 5, len(data) - 22)
    assert struct.unpack("<I", data[18:22])[0] == zlib.crc32(data[:18] + data[22:])


def test_a_thousand_random_cuts_of_the_newest_leave_the_older(path: Path) -> None:
    newest = two_generations(path)
    whole, dice = newest.read_bytes(), random.Random(4)
    for _ in range(1000):
        newest.write_bytes(whole[: dice.randrange(len(whole))])
        loaded = Journal(path).load()
        assert loaded.survivor == OLD
        assert not loaded.whole
        assert "pack.journal.b: " in loaded.note


def test_a_thousand_random_bit_flips_of_the_newest_leave_the_older(path: Path) -> None:
    newest = two_generations(path)
    whole, dice = newest.read_bytes(), random.Random(5)
    for _ in range(1000):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        newest.write_bytes(data)
        assert Journal(path).load().survivor == (NEW if bytes(data) == whole else OLD)


def test_a_cut_at_any_write_of_a_save_leaves_the_generation_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_generations(path)
    whole = pack(replace(NEW, closes=9), 3)
    real_write = os.write
    for cut in range(0, len(whole), 7):

        def torn(fd: int, data: memoryview, cut: int = cut) -> int:
            real_write(fd, data[:cut])
            raise OSError(5, "power cut")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", torn)
            with pytest.raises(OSError, match="power cut"):
                Journal(path).save(replace(NEW, closes=9))
        assert Journal(path).load().survivor == NEW


def test_a_save_after_a_failed_one_takes_the_same_slot_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_generations(path)
    journal = Journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            journal.save(replace(NEW, closes=9))
    journal.save(replace(NEW, closes=10))
    assert unpack(slot(path, "a").read_bytes()) == (3, replace(NEW, closes=10))
    assert unpack(slot(path, "b").read_bytes()) == (2, NEW)


def test_file_and_folder_are_synced_in_that_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    Journal(path).save(OLD)
    assert synced == [str(slot(path, "a")), str(path.parent)]


def test_two_bad_slots_are_no_survivor_and_both_are_named(path: Path) -> None:
    two_generations(path)
    slot(path, "a").write_bytes(b"")
    slot(path, "b").write_bytes(b"\0" * 300)
    loaded = Journal(path).load()
    assert loaded.survivor is None and not loaded.whole
    assert "journal.a: " in loaded.note and "journal.b: " in loaded.note


def of_schema(schema: int, sequence: int) -> bytes:
    payload = b'{"something":"else"}'
    head = struct.pack("<4sHQI", b"BMSJ", schema, sequence, len(payload))
    return head + struct.pack("<I", zlib.crc32(head + payload)) + payload


@pytest.mark.parametrize("sequence", [1, 99])
def test_a_newer_schema_is_refused_by_name_and_never_overwritten(path: Path, sequence: int) -> None:
    two_generations(path)
    slot(path, "b").write_bytes(of_schema(3, sequence))
    loaded = Journal(path).load()
    assert loaded.survivor is None
    assert "schema 3" in loaded.note
    with pytest.raises(NewerSchema, match="schema 3"):
        Journal(path).save(NEW)
    assert slot(path, "b").read_bytes() == of_schema(3, sequence)


def test_an_unreadable_slot_is_named_and_the_other_used(path: Path) -> None:
    two_generations(path).unlink()
    slot(path, "b").mkdir()
    loaded = Journal(path).load()
    assert loaded.survivor == OLD
    assert "cannot be read" in loaded.note


@pytest.mark.parametrize(
    "change",
    [
        {"latched": "CELL_OV"},
        {"latched": [1]},
        {"cell_soc": ["0.5"]},
        {"cell_soc": [True]},
        {"cell_health": 0.5},
        {"closes": -1},
        {"closes": True},
        {"closes": 1.5},
        {"soc": "0.5"},
        {"commissioned_hash": None},
        {"more": 1},
    ],
)
def test_content_of_another_shape_is_refused_although_its_checksum_holds(change: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="content"):
        unpack(written(json.loads(pack(OLD, 1)[22:]) | change, 2))


def written(plain: dict[str, object], schema: int) -> bytes:
    payload = json.dumps(plain).encode()
    head = struct.pack("<4sHQI", b"BMSJ", schema, 1, len(payload))
    return head + struct.pack("<I", zlib.crc32(head + payload)) + payload


@pytest.mark.parametrize("lacks", [("cell_soc", "cell_soc_sigma", "cell_health"), ("cell_health",), ("latched",)])
@pytest.mark.parametrize("schema", [1, 2])
def test_only_a_journal_of_the_first_schema_may_lack_the_cells(lacks: tuple[str, ...], schema: int) -> None:
    data = written({name: value for name, value in json.loads(pack(OLD, 1)[22:]).items() if name not in lacks}, schema)
    if schema == 1 and lacks != ("latched",):
        assert unpack(data) == (1, replace(OLD, **dict.fromkeys(lacks, ())))
    else:
        with pytest.raises(JournalError, match="other fields"):
            unpack(data)


def test_a_list_with_a_number_that_is_none_says_nothing_and_keeps_nothing_else_from_being_kept(path: Path) -> None:
    Journal(path).save(replace(OLD, cell_health=(1.0, math.nan)))
    assert Journal(path).load().survivor == replace(OLD, cell_health=())


def test_four_hundred_cells_fit(path: Path) -> None:
    many = replace(OLD, cell_soc=(0.12345,) * 400, cell_soc_sigma=(0.12345,) * 400, cell_health=(-1.23456e-07,) * 4800)
    Journal(path).save(many)
    assert Journal(path).load().survivor == many


@given(st.binary(max_size=400))
def test_foreign_bytes_are_refused_and_never_crash(data: bytes) -> None:
    for candidate in (data, b"BMSJ" + data, pack(OLD, 1)[:22] + data):
        with pytest.raises(JournalError):
            unpack(candidate)


@given(
    st.builds(
        Survivor,
        soc=st.floats(0, 1),
        latched=st.lists(st.text(max_size=20), max_size=5).map(tuple),
        closes=st.integers(0, 2**31),
        charge_throughput_ah=st.floats(0, 1e9),
        commissioned_hash=st.text(max_size=64),
    ),
    st.integers(1, 2**63),
)
def test_every_survivor_comes_back_as_it_was(survivor: Survivor, sequence: int) -> None:
    assert unpack(pack(survivor, sequence)) == (sequence, survivor)
