"""The page of the service in a real browser: what becomes of a photograph."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pillsnap.answers.answer import Answer, Candidate, Pill
from pillsnap.pictures.decode import decode_photo, encode_jpeg
from pillsnap.predict.model import PillSnap
from pillsnap.serve.limits import Limits
from tests.support.chromium import Chromium
from tests.support.models import draw_photo, onnx_models
from tests.support.pages import (
    BOXES,
    DRUGS,
    HEIGHT,
    VIEW,
    WIDTH,
    FixedSnap,
    a_pill,
    ask,
    boxes_of,
    combo,
    enrolled,
    opened,
    page_of,
    single,
    texts,
    write_photo,
)
from tests.support.services import running


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    write_photo(path, 4)
    return path


def test_nothing_is_offered_before_it_can_be_used(chromium: Chromium) -> None:
    with opened(chromium, FixedSnap(single("known"))) as tab:
        assert tab.run(VIEW) == "empty"
        assert texts(tab, "main button") == ["Choose a photo"]
        assert "No medical advice" in texts(tab, ".advice")[0]
        assert "not stored" in texts(tab, "main")[0]
        assert "right in at least 99% of such answers" in texts(tab, "main")[0]


def test_known_pill(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"))
    with opened(chromium, snap) as tab:
        ask(tab, photo)
        assert boxes_of(tab) == [pytest.approx(BOXES[0], abs=0.5)]
        assert texts(tab, ".tag") == ["1\nKnown"]
        assert texts(tab, ".pill h3") == [DRUGS[0].name]
        assert tab.run("document.querySelector('.pill h3').lang") == "ko", "a Korean name on an English page"
        card = texts(tab, ".pill")[0]
        for words in ("Known", "K-000001", "643303740", "99.8%", "right in at least 99% of such answers."):
            assert words in card
        assert [text.splitlines()[0] for text in texts(tab, ".bars li")] == [drug.name for drug in DRUGS]
        assert texts(tab, ".advice")[0].startswith("No medical advice.")
    assert snap.asked == [(decode_photo(photo.read_bytes()).tobytes(), "single")]


def test_uncertain_pill_is_one_of_its_set(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("uncertain"))) as tab:
        ask(tab, photo)
        assert texts(tab, ".pill h3") == ["One of these 3 drugs"]
        assert "at least 95% of answers" in texts(tab, ".pill .says")[0]
        listed = texts(tab, ".pill .list li")
        assert [text.splitlines()[0] for text in listed] == [drug.name for drug in DRUGS[:3]]
        assert "653401200, 653401201" in listed[1]
        assert "none listed" in listed[2]
        widths = tab.run("[...document.querySelectorAll('.list .bar i')].map(one => one.style.width)")
        assert widths == ["52%", "31%", "11%"]


def test_uncertain_pill_with_one_drug_in_its_set(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("uncertain", possible=1))) as tab:
        ask(tab, photo)
        assert texts(tab, ".pill h3") == [f"Perhaps {DRUGS[0].name}"]
        assert "not good enough to call it known" in texts(tab, ".pill .says")[0]


def test_enrolled_drug_rests_on_photos(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(enrolled(5)), width=390, height=844, phone=True) as tab:
        ask(tab, photo)
        assert texts(tab, ".pill h3") == ["Perhaps 카타정 5mg"]
        assert texts(tab, ".pill .sure") == ["5\nreference photos"]
        assert "without training: nothing is promised" in texts(tab, ".pill .says")[0]
        first, second = texts(tab, ".bars li")[:2]
        assert "reference photos: 5" in first and "%" not in first and "52%" in second
        assert tab.run("document.documentElement.scrollWidth") <= 390
        tab.run("document.querySelector('[data-language=ko]').click()")
        assert texts(tab, ".pill .sure") == ["5\n등록 사진 수"]


def test_large_set_is_counted_and_folded(chromium: Chromium, photo: Path) -> None:
    many = tuple(Candidate(f"K-{number:06d}", (), f"약 {number}", 0.02) for number in range(40))
    answer = Answer("single", WIDTH, HEIGHT, (Pill(BOXES[0], 0.9, "uncertain", many[:5], many),))
    with opened(chromium, FixedSnap(answer)) as tab:
        ask(tab, photo)
        assert texts(tab, ".pill h3") == ["One of these 40 drugs"]
        assert len(texts(tab, ".list li")) == 5
        assert texts(tab, ".pill summary") == ["All 40 drugs"]
        assert tab.run("document.querySelectorAll('details li').length") == 40


def test_unknown_pill_gets_no_name(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("unknown"))) as tab:
        ask(tab, photo)
        assert texts(tab, ".pill h3") == ["No drug that this model knows"]
        assert texts(tab, ".pill .says") == ["Unlike every drug this model was trained on, so it names none."]
        assert texts(tab, ".pill h4") == ["Looks most like"]
        assert "No answer" in texts(tab, ".pill .note")[0]
        assert texts(tab, ".sure") == [], "no confidence beside an answer that is none"
        label = tab.run("document.querySelector('.box').getAttribute('aria-label')")
        assert not any(drug.name in label for drug in DRUGS)


def test_model_that_promises_nothing(chromium: Chromium) -> None:
    with opened(chromium, FixedSnap(single("uncertain"), precision=None)) as tab:
        assert "This model calls no drug known" in texts(tab, "#known-means")[0]


def test_combo(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(combo())
    with opened(chromium, snap) as tab:
        ask(tab, photo, mode="combo")
        assert boxes_of(tab) == [pytest.approx(box, abs=0.5) for box in BOXES]
        assert texts(tab, ".tag") == ["1\nKnown", "2\nUncertain", "3\nUnknown", "4\nKnown"]
        lines = tab.run("[...document.querySelectorAll('#boxes .box')].map(one => getComputedStyle(one).borderStyle)")
        assert lines == ["solid", "dashed", "dotted", "solid"], "not told apart by colour alone"
        assert texts(tab, "#outcome h2") == ["4 pills"]
        assert texts(tab, ".summary") == ["2 known · 1 uncertain · 1 unknown"]
        assert tab.run("document.getElementById('live').textContent") == "4 pills, 2 known, 1 uncertain, 1 unknown"
        tab.run("document.querySelectorAll('.box')[2].click()")
        assert tab.run("document.activeElement.id") == "pill-3"
        tab.run("document.querySelector('[value=single]').click()")
        tab.wait(f"{VIEW} === 'result'")
    assert [mode for _, mode in snap.asked] == ["combo", "single"], "another mode asks again"


def test_crops_show_their_pills(chromium: Chromium, tmp_path: Path) -> None:
    boxes = write_photo(tmp_path / "photo.jpg", 2)
    pills = tuple(a_pill(box, "known", first=place) for place, box in enumerate(boxes))
    with opened(chromium, FixedSnap(Answer("combo", WIDTH, HEIGHT, pills))) as tab:
        ask(tab, tmp_path / "photo.jpg", mode="combo")
        middle = "one.getContext('2d').getImageData(72, 72, 1, 1).data"
        red, green = tab.run(f"[...document.querySelectorAll('canvas')].map(one => [...{middle}])")
        assert red[0] > red[1] + 80
        assert green[1] > green[0] + 60


def test_photo_that_a_phone_took_sideways(chromium: Chromium, tmp_path: Path) -> None:
    """The file's pixels lie on their side; browser and service turn them by EXIF alike."""
    upright = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
    x, y, w, h = (int(value) for value in BOXES[2])
    upright[y : y + h, x : x + w] = (200, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "photo.jpg", quality=95, exif=exif)
    answer = Answer("single", WIDTH, HEIGHT, (a_pill(BOXES[2], "known"),))
    with opened(chromium, FixedSnap(answer)) as tab:
        ask(tab, tmp_path / "photo.jpg")
        assert boxes_of(tab) == [pytest.approx(BOXES[2], abs=0.5)]
        left, top, width, height = tab.run(
            "(({ left, top, width, height }) => [left, top, width, height])"
            "(document.querySelector('.box').getBoundingClientRect())"
        )
        seen = cv2.imdecode(np.frombuffer(tab.picture(), np.uint8), cv2.IMREAD_COLOR_RGB)
        inside = seen[int(top + 8) : int(top + height - 8), int(left + 8) : int(left + width - 8)].reshape(-1, 3)
        assert (np.abs(inside.astype(int) - [200, 40, 40]).max(axis=1) < 40).mean() > 0.98


def test_format_that_the_browser_cannot_show(chromium: Chromium, tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photo.tif")
    with opened(chromium, FixedSnap(single("known"))) as tab:
        ask(tab, tmp_path / "photo.tif")
        frame, box = tab.run(
            "['.frame', '.box'].map(one => document.querySelector(one).getBoundingClientRect())"
            ".map(({ left, top, width, height }) => [left, top, width, height])"
        )
        assert frame[2] / frame[3] == pytest.approx(WIDTH / HEIGHT, rel=0.01)
        scale = WIDTH / frame[2]
        found = [(box[0] - frame[0]) * scale, (box[1] - frame[1]) * scale, box[2] * scale, box[3] * scale]
        assert found == pytest.approx(BOXES[0], abs=0.5)
        assert "Your browser cannot show this format." in texts(tab, "main")[0]
        assert texts(tab, ".pill h3") == [DRUGS[0].name]


@pytest.mark.parametrize(
    ("language", "words"), [("en", "choose “Several pills” above"), ("ko", "‘여러 알’을 고르세요")]
)
def test_one_pill_of_several_is_told(chromium: Chromium, photo: Path, language: str, words: str) -> None:
    for more in (True, False):
        with opened(chromium, FixedSnap(replace(single("known"), more_pills=more))) as tab:
            tab.run(f"document.querySelector('[data-language={language}]').click()")
            ask(tab, photo)
            assert [words in text for text in texts(tab, "#more-pills")] == [True] * more
            assert (words in texts(tab, "#live")[0]) is more
            assert len(texts(tab, "#add-other")) == (not more)  # both sides must be photographs of one pill


def test_no_pill_is_an_answer(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(Answer("combo", WIDTH, HEIGHT, ()))) as tab:
        ask(tab, photo, mode="combo")
        assert texts(tab, "#outcome h2") == ["No pill found"]
        assert tab.run("document.querySelector('.failed')") is None
        assert tab.run("document.getElementById('live').textContent") == "No pill found"


DAMAGED = encode_jpeg(draw_photo([0], width=40, height=40)[0], 90)[:-300]


@pytest.mark.parametrize(
    ("content", "title", "cure"),
    [
        (b"", "This file is empty", "Choose the photo again"),
        (b"no picture", "This file is not a photo that can be read", "Choose a JPEG"),
        (DAMAGED, "This photo is damaged", "Choose the original"),
        (bytes(3000), "This file is too large", "It may have 0.003 MB"),
    ],
    ids=["empty", "text", "damaged", "large"],
)
def test_file_that_cannot_be_used(chromium: Chromium, tmp_path: Path, content: bytes, title: str, cure: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with opened(chromium, FixedSnap(single("known")), limits=Limits(max_bytes=2500)) as tab:
        ask(tab, tmp_path / "photo.jpg", view="error")
        assert texts(tab, "#outcome h2")[0].startswith(title)
        assert cure in texts(tab, "#outcome p")[0]
        assert "Choose another photo" in texts(tab, "button")
        assert "Try again" not in texts(tab, "button"), "the same file would fail again"
        assert tab.run("document.getElementById('live').textContent").startswith(title)


def test_failure_of_the_service_can_be_tried_again(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(RuntimeError("broken"))
    with opened(chromium, snap) as tab:
        ask(tab, photo, view="error")
        assert texts(tab, "#outcome h2") == ["Something went wrong"]
        snap.answer = single("known")
        tab.run("document.querySelector('.failed button').click()")
        tab.wait(f"{VIEW} === 'result'")
        assert texts(tab, ".pill h3") == [DRUGS[0].name]


def test_busy_service(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"))
    snap.gate.clear()
    with opened(chromium, snap, limits=Limits(workers=1, waiting=0)) as first, chromium.tab() as second:
        ask(first, photo, view="loading")
        until = "fetch('metrics').then(reply => reply.text()).then(text => text.includes('pillsnap_running 1.0'))"
        while not first.run(until):
            pass
        second.open(first.requests[0])
        second.wait(f"{VIEW} === 'empty'")
        ask(second, photo, view="error")
        assert texts(second, "#outcome h2") == ["The server is busy"]
        snap.gate.set()
        first.wait(f"{VIEW} === 'result'")
        second.run("document.querySelector('.failed button').click()")
        second.wait(f"{VIEW} === 'result'")


def test_server_that_is_gone(chromium: Chromium, photo: Path) -> None:
    with chromium.tab() as tab:
        with page_of(FixedSnap(single("known"))) as address:
            tab.open(address)
            tab.wait(f"{VIEW} === 'empty'")
        ask(tab, photo, view="error")
        assert texts(tab, "#outcome h2") == ["The server cannot be reached"]
        assert "Try again" in texts(tab, "button")


def test_waiting_and_cancel(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"))
    snap.gate.clear()
    with opened(chromium, snap) as tab:
        ask(tab, photo, view="loading")
        tab.wait("document.querySelector('#outcome h2').innerText.startsWith('Looking')")
        assert tab.run("document.querySelector('progress').getAttribute('aria-label')") == "Looking at the photo…"
        tab.run("document.querySelector('.waiting button').click()")
        assert tab.run(VIEW) == "empty"
        assert tab.run("document.activeElement.id") == "choose"
        snap.gate.set()
        ask(tab, photo)
        assert len(texts(tab, ".pill")) == 1


@pytest.mark.parametrize("mode", ["single", "combo"])
def test_real_service(chromium: Chromium, base: Path, photo: Path, mode: Any) -> None:
    """`pillsnap serve` as a process, with exported models."""
    models = onnx_models(base)
    expected = PillSnap.load(models, threads=1, device="cpu").identify(photo, mode).pills
    assert expected
    with running(models) as (_, host, port), chromium.tab() as tab:
        tab.open(f"http://{host}:{port}/")
        tab.wait(f"{VIEW} === 'empty'")
        ask(tab, photo, mode=mode)
        assert boxes_of(tab) == [pytest.approx(pill.box, abs=0.5) for pill in expected]
        cards = tab.run("[...document.querySelectorAll('.pill')].map(one => one.textContent)")
        for pill, card in zip(expected, cards, strict=True):
            assert all(drug.k_code in card and drug.name in card for drug in pill.candidates)
        assert texts(tab, ".pill .badge") == [pill.verdict.capitalize() for pill in expected]
        assert "Model stage1, knows 3 drugs." in texts(tab, "#model")
        assert tab.console == []
