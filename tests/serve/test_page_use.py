"""The page of the service in a real browser: usable by all, on any width, in both languages, and safe to use."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pillsnap.answers.answer import Answer, Candidate, Pill, Reading
from pillsnap.files import read_json
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.model import SamePillError
from pillsnap.serve.kept import Kept
from tests.support.catalogues import opened_catalogue
from tests.support.chromium import Chromium, Tab
from tests.support.pages import (
    BOXES,
    DRUGS,
    HEIGHT,
    VIEW,
    WIDTH,
    FixedSnap,
    ask,
    both_sides,
    combo,
    opened,
    single,
    texts,
    write_photo,
)
from tests.support.services import KEY


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    write_photo(path, 4)
    return path


def test_languages(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(combo()), language="ko-KR") as tab:
        assert tab.run("document.documentElement.lang") == "ko"
        ask(tab, photo, mode="combo")
        assert texts(tab, "#outcome h2") == ["알약 4개"]
        assert texts(tab, ".tag") == ["1\n식별됨", "2\n불확실", "3\n모름", "4\n식별됨"]
        assert texts(tab, ".advice")[0].startswith("의학적 조언이 아닙니다.")
        tab.run("document.querySelector('[data-language=en]').click()")
        assert tab.run("document.documentElement.lang") == "en"
        assert texts(tab, "#outcome h2") == ["4 pills"]
        assert tab.run("document.querySelector('[data-language=en]').getAttribute('aria-pressed')") == "true"
        names = "(words) => JSON.stringify([Object.keys(words), Object.keys(words.errors)])"
        assert tab.run(f"({names})(WORDS.en)") == tab.run(f"({names})(WORDS.ko)")
        blanks = "Object.entries(words).map(([key, value]) => [key, ((value + '').match(/{[a-z]+}/g) ?? []).sort()])"
        assert tab.run(f"(words => {blanks})(WORDS.en)") == tab.run(f"(words => {blanks})(WORDS.ko)")


BEYOND = """[...document.querySelectorAll("main *, header *, footer *, .advice")]
  .filter(one => !one.closest(".sr, .intro") && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.outerHTML.slice(0, 90))"""
ADVICE = "(({ top, bottom }) => [top, bottom])(document.querySelector('.advice').getBoundingClientRect())"
HEIGHTS = """[...document.querySelectorAll("main button:not(.box), .modes label")]
  .filter(one => one.checkVisibility()).map(one => one.offsetHeight)"""


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_page_fits(chromium: Chromium, photo: Path, tmp_path: Path, width: int, language: str) -> None:
    phone = width < 500
    bad = tmp_path / f"a_name_without_a_place_to_break{'_on_and' * 8}.jpg"
    bad.write_bytes(b"?")
    with opened(chromium, FixedSnap(combo()), width=width, height=844, phone=phone, language=language) as tab:
        for file, view in ((None, "empty"), (photo, "result"), (bad, "error")):
            if file:
                ask(tab, file, mode="combo", view=view)
            assert tab.run("innerWidth") == width
            assert tab.run("document.documentElement.scrollWidth") <= width
            assert tab.run(BEYOND) == []
            top, bottom = tab.run(ADVICE)
            assert 0 < top < bottom <= 844, "always in sight"
            assert min(tab.run(HEIGHTS)) >= 44, "large enough for a finger"
            assert tab.run("document.getElementById('camera').checkVisibility()") is phone


def test_camera_button_asks_for_the_camera(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("known")), width=390, height=844, phone=True) as tab:
        assert tab.run("document.getElementById('shot').getAttribute('capture')") == "environment"
        tab.call("Runtime.evaluate", expression="document.getElementById('camera').click()", userGesture=True)
        tab.answer_dialog(photo)
        tab.wait(f"{VIEW} === 'result'")


def test_dropped_photo(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"))
    with opened(chromium, snap) as tab:
        tab.drop(photo, 640, 500)
        tab.wait(f"{VIEW} === 'result'")
        tab.drop(photo, 300, 400)
        tab.wait(f"{VIEW} === 'result'")
    assert snap.asked[0] == (decode_photo(photo.read_bytes()).tobytes(), "single")


FOCUSED = "document.activeElement"
OUTLINE = f"""[{FOCUSED}, {FOCUSED}.closest("label")]
  .some(one => one && getComputedStyle(one).outlineStyle !== "none")"""


def test_keyboard_alone(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(combo())
    with opened(chromium, snap) as tab:
        stops = []
        for _ in range(4):
            tab.press("Tab")
            stops.append(tab.run(f"{FOCUSED}.id || {FOCUSED}.value || {FOCUSED}.dataset.language"))
            assert tab.run(OUTLINE), f"the focus on {stops[-1]} is not to be seen"
            if stops[-1] == "single":
                tab.press("ArrowDown")
        assert stops == ["en", "ko", "single", "choose"]
        tab.press("Enter")
        tab.answer_dialog(photo)
        tab.wait(f"{VIEW} === 'result'")
        assert snap.asked[0][1] == "combo"
        for _ in range(40):
            tab.press("Tab")
            assert tab.run(OUTLINE)
            if tab.run(f"{FOCUSED}.classList.contains('box')"):
                break
        assert tab.run(f"{FOCUSED}.getAttribute('aria-label')") == f"1: Known, {DRUGS[0].name}. Go to the answer."
        tab.press("Enter")
        assert tab.run(f"{FOCUSED}.id") == "pill-1"
        tab.press("Tab")
        tab.press("Enter")
        assert tab.run(f"{FOCUSED}.tagName + {FOCUSED}.parentElement.open") == "SUMMARYtrue"


def test_everything_that_can_be_used_has_a_name(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(combo()), width=390, height=844, phone=True) as tab:
        ask(tab, photo, mode="combo")
        nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "radio", "image", "DisclosureTriangle", "heading")
        seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
        found = [(role, name) for role, name in seen if role in roles]
        assert len(found) > 15
        assert [role for role, name in found if not name.strip()] == []
        assert ("image", "Your photo, with 4 pills marked") in found
        assert ("radio", "Several pills Each one is found and named") in found or ("radio", "Several pills") in found


CONTRAST = """(() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.getClientRects().length || one.closest("script, .sr")) continue;
    const levels = [light(numbers(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
    found.push([(levels[0] + 0.05) / (levels[1] + 0.05), one.className + ": " + one.textContent.slice(0, 40)]);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast(chromium: Chromium, photo: Path, tmp_path: Path, dark: bool) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"?")
    with opened(chromium, FixedSnap(combo()), dark=dark) as tab:
        for file, view in ((None, "empty"), (photo, "result"), (tmp_path / "bad.jpg", "error")):
            if file:
                ask(tab, file, mode="combo", view=view)
            found = tab.run(CONTRAST)
            assert len(found) > 15
            assert [one for one in found if one[0] < 4.5] == []
        assert (tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 28)") is dark


def test_key_is_asked_for_and_kept_in_memory_only(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("known")), key="right-key") as tab:
        assert tab.run(VIEW) == "key"
        assert tab.run("document.getElementById('ask').hidden"), "a photo cannot be sent yet"
        refused, accepted = "document.getElementById('key-wrong').innerText", f"{VIEW} === 'empty'"
        for key, then in (("wrong-key", refused), ("right-key", accepted)):
            tab.run("document.getElementById('key-field').focus()")
            tab.run("document.getElementById('key-field').select()")
            tab.type(key)
            tab.press("Enter")
            tab.wait(then)
        ask(tab, photo)
        assert texts(tab, ".pill h3") == [DRUGS[0].name]
        assert tab.run("[localStorage.length, sessionStorage.length, document.cookie, history.state]") == [
            0,
            0,
            "",
            None,
        ]
        assert tab.run("indexedDB.databases().then(all => all.length)") == 0
        assert not any("right-key" in url for url in tab.requests)
        assert tab.run("document.getElementById('key-field').value") == ""


def test_name_of_a_drug_stays_text(chromium: Chromium, photo: Path) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    drug = Candidate("<i>K</i>", ("<script>alert(1)</script>",), hostile, 0.999)
    pills = tuple(
        Pill(box, 0.9, verdict, (drug,), (drug,) if verdict != "unknown" else ())
        for box, verdict in zip(BOXES, ("known", "uncertain", "unknown"), strict=False)
    )
    with opened(chromium, FixedSnap(Answer("combo", WIDTH, HEIGHT, pills))) as tab:
        ask(tab, photo, mode="combo")
        assert texts(tab, ".pill h3")[0] == hostile
        assert "<script>alert(1)</script>" in texts(tab, ".pill")[0]
        made = ".pill img, .pill script, .pill i:not(.bar i), .pill b b"
        assert tab.run(f"document.querySelectorAll('{made}').length") == 0
        assert tab.run("document.title") == "PillSnap: Which pill is this?"


def test_corrections(chromium: Chromium, photo: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 1e9)
    with opened(chromium, FixedSnap(combo()), kept=kept, width=390, height=844, phone=True) as tab:
        assert texts(tab, ".privacy") == [
            "This server keeps the photo, without place and time, and its answer; "
            "what you correct can improve the model."
        ]
        ask(tab, photo, mode="combo")
        tab.run("document.querySelectorAll('.correct').forEach(one => { one.open = true; })")
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert min(tab.run(HEIGHTS)) >= 44
        tab.run("document.querySelectorAll('.correct .row button')[0].click()")
        tab.run("document.querySelectorAll('.correct .row button')[3].click()")
        for place, words in ((2, "K-000005 자차연질캡슐"), (3, "an old name")):
            field = f"document.getElementById('drug-{place}')"
            tab.run(f"{field}.value = '{words}'; {field}.dispatchEvent(new Event('change'))")
        assert texts(tab, ".said") == [
            "You say: K-000001 가나정 5mg.",
            "You say: no pill.",
            "You say: K-000005 자차연질캡슐.",
            "Choose a drug of the list, or enter a K-code such as K-000114.",
        ]
        tab.run("document.getElementById('whole').click()")
        tab.run("document.querySelector('.corrections button').click()")
        tab.wait("document.getElementById('told').textContent !== ''")
        assert texts(tab, "#told") == ["Kept. Thank you."]
    kept.close()
    coco = read_json(tmp_path / "kept/confirmed/coco.json")
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == ["K-000001", "K-000005", "unlabelled pill"]
    assert [image["fully_labelled"] for image in coco["images"]] == [False]


OTHER = """[...document.querySelectorAll("#other-frame, #other, #other-box")].map(one => one.checkVisibility())"""


def add_side(tab: Tab, photo: Path) -> None:
    """Add a photograph of the other side, as a person does."""
    tab.call("Runtime.evaluate", expression="document.getElementById('add-other').click()", userGesture=True)
    tab.answer_dialog(photo)


@pytest.mark.parametrize(("language", "says"), [("en-US", "One answer from both photos."), ("ko-KR", "두 사진을 함께")])
def test_the_other_side(chromium: Chromium, photo: Path, language: str, says: str) -> None:
    snap = FixedSnap(single("uncertain"), both_sides("known"))
    with opened(chromium, snap, width=320, height=844, phone=True, language=language) as tab:
        ask(tab, photo)
        assert tab.run(OTHER) == [False, False, False]
        assert min(tab.run(HEIGHTS)) >= 44
        add_side(tab, photo)
        tab.wait("document.querySelector('.summary') !== null")
        assert texts(tab, ".summary")[0].startswith(says)
        assert tab.run("document.querySelector('.pill h3').textContent") == DRUGS[0].name
        assert tab.run(OTHER) == [True, True, True]
        assert tab.run("document.documentElement.scrollWidth") <= 320 and tab.run(BEYOND) == []
        assert tab.run("document.getElementById('add-other')") is None
        ask(tab, photo)
        assert tab.run(OTHER) == [False, False, False], "another photo is one of another pill"
    one = decode_photo(photo.read_bytes()).tobytes()
    assert [asked for asked, _ in snap.asked] == [one, one + one, one]


def test_both_sides_that_cannot_be_answered(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"), SamePillError("not_one_pill", 2, "shows 2 pills."))
    with opened(chromium, snap) as tab:
        ask(tab, photo)
        add_side(tab, photo)
        tab.wait(f"{VIEW} === 'error'")
        assert texts(tab, "#outcome h2") == ["Each photo must show exactly one pill"]
        assert tab.run("document.querySelector('.failed details').textContent").startswith(
            "What the server saysPhotograph 2: shows 2 pills."
        )
        assert texts(tab, ".failed > button") == ["Answer the first photo alone"]
        tab.run("document.querySelector('.failed > button').click()")
        tab.wait(f"{VIEW} === 'result'")
        assert tab.run(OTHER) == [False, False, False]


def test_a_model_that_promises_nothing_of_both_sides_says_so(chromium: Chromium, photo: Path) -> None:
    snap = FixedSnap(single("known"), both_sides("uncertain", calibrated=False), pair_precision=None)
    says = "This model promises nothing of answers to both sides, and calls none of them known."
    with opened(chromium, snap) as tab:
        ask(tab, photo)
        assert texts(tab, ".card")[0].startswith(says)
        add_side(tab, photo)
        tab.wait("document.querySelector('.summary') !== null")
        assert texts(tab, ".says") == [says]


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", "The two photos may show two pills: one by one, they do not point to one drug. Answer them separately."),
        (
            "ko",
            "두 사진에 서로 다른 알약이 찍혔을 수 있습니다. "
            "따로 보면 같은 약이라고 보기 어려우니, 한 장씩 답을 받아 보세요.",
        ),
    ],
)
def test_photographs_that_may_show_two_pills_are_told(
    chromium: Chromium, photo: Path, language: str, says: str
) -> None:
    snap = FixedSnap(single("known"), both_sides("uncertain", agree=False))
    with opened(chromium, snap, language=language) as tab:
        ask(tab, photo)
        add_side(tab, photo)
        tab.wait("document.querySelector('.summary') !== null")
        assert texts(tab, ".says") == [says]


def test_nothing_is_asked_where_nothing_is_kept(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("known"))) as tab:
        assert texts(tab, ".privacy") == [
            "The photo goes to this server only, is not stored, and is sent nowhere else."
        ]
        ask(tab, photo)
        assert texts(tab, ".correct, .corrections") == []


FIELDS = "[...document.querySelectorAll('.fields :is(input, select)')]"


@pytest.mark.parametrize(
    ("language", "title", "looks", "differs"),
    [
        (
            "en-US",
            "Not recognised: look it up",
            "Red / Transparent / White · Oblong, capsule",
            "Not as entered: colour",
        ),
        ("ko-KR", "식별되지 않은 알약 찾아보기", "빨강 / 투명 / 하양 · 장방형(캡슐 모양)", "입력과 다름: 색상"),
    ],
)
def test_an_unknown_pill_is_looked_up(
    chromium: Chromium, photo: Path, tmp_path: Path, language: str, title: str, looks: str, differs: str
) -> None:
    how: dict[str, Any] = {"width": 320, "height": 844, "phone": True, "language": language}
    with opened(chromium, FixedSnap(combo()), catalogue=opened_catalogue(tmp_path), key=KEY, **how) as tab:
        tab.run("document.getElementById('key-field').focus()")
        tab.type(KEY)
        tab.press("Enter")
        tab.wait(f"{VIEW} === 'empty'")
        ask(tab, photo, mode="combo")
        assert texts(tab, ".look-up h4") == [title], "of the one pill that is unknown"
        assert tab.run(f"{FIELDS}.map(one => one.value).join('')") == ""
        assert texts(tab, ".alike li") == [], "nothing is asked before something is entered"
        enter(tab, "imprint", "8b50")
        tab.wait("document.querySelectorAll('.alike li').length === 1")
        lines = texts(tab, ".alike li")[0].splitlines()
        assert lines[:3] == ["다라캡슐", "8B50 / SI", f"{looks} · 19.4 × 6.9 mm"]
        assert "199900002" in lines[3] and len(lines) == 4
        enter(tab, "colour", "green")
        tab.wait("document.querySelector('.differs') !== null")
        assert texts(tab, ".differs") == [differs]
        assert tab.run("document.documentElement.scrollWidth") <= 320 and tab.run(BEYOND) == []
        assert min(tab.run(f"{FIELDS}.map(one => one.offsetHeight)")) >= 44
        # what was entered outlives a change of the language, and is not what another pill has
        tab.run("document.querySelector('[aria-pressed=false]').click()")
        assert tab.run("document.querySelector('.fields input').value") == "8b50"
        assert len(texts(tab, ".alike li")) == 1
        enter(tab, "imprint", "QQQQ")
        tab.wait("document.querySelectorAll('.alike li').length === 0")
        assert len(texts(tab, ".look-up [role=status]")[0]) > 20
    queries = [url for url in tab.requests if "v1/catalogue" in url]
    assert len(queries) == 3 and "imprint=8b50&colour=green&limit=10" in queries[1]


def enter(tab: Tab, name: str, value: str) -> None:
    """Enter what a person sees of the unknown pill."""
    field = f"document.querySelector('.fields .{name} :is(input, select)')"
    event = "input" if name == "imprint" else "change"
    tab.run(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('{event}'))")


SURE = Reading("GN", 0.9, "GN", "round", 0.97, ("white",), 0.95, False)
UNSURE = Reading("GN", 0.4, "G", "round", 0.4, ("white",), 0.4, True)
NOTHING = replace(UNSURE, characters="")


def read_as(answer: Answer, *readings: Reading) -> Answer:
    """The answer, with what was read of its first pills."""
    pills = tuple(replace(pill, reading=reading) for pill, reading in zip(answer.pills, readings, strict=False))
    return replace(answer, pills=pills + answer.pills[len(pills) :])


@pytest.mark.parametrize(
    ("language", "answer", "reading", "lines"),
    [
        ("en-US", single("known"), SURE, ["Read on the pill: white, round, GN"]),
        ("ko-KR", single("known"), SURE, ["알약에서 읽은 것: 하양, 원형, GN"]),
        ("en-US", single("known"), replace(SURE, imprint=""), ["Read on the pill: white, round, no imprint"]),
        ("ko-KR", single("known"), replace(SURE, imprint=""), ["알약에서 읽은 것: 하양, 원형, 새겨진 글자 없음"]),
        (
            "en-US",
            single("uncertain"),
            UNSURE,
            ["Read on the pill: imprint with G", f"The imprint contradicts {DRUGS[0].name}."],
        ),
        (
            "ko-KR",
            single("uncertain"),
            UNSURE,
            ["알약에서 읽은 것: 새겨진 글자에 G 포함", f"새겨진 글자가 {DRUGS[0].name}의 것과 맞지 않습니다."],
        ),
        ("en-US", single("unknown"), NOTHING, ["Read on the pill: nothing for sure"]),
        ("ko-KR", single("unknown"), NOTHING, ["알약에서 읽은 것: 확실한 것 없음"]),
        ("en-US", single("known"), replace(SURE, imprint="<b>GN</b>"), ["Read on the pill: white, round, <b>GN</b>"]),
    ],
)
def test_what_was_read_is_shown(
    chromium: Chromium, photo: Path, language: str, answer: Answer, reading: Reading, lines: list[str]
) -> None:
    with opened(
        chromium, FixedSnap(read_as(answer, reading)), language=language, width=320, height=844, phone=True
    ) as tab:
        ask(tab, photo)
        assert [line for text in texts(tab, ".pill .read") for line in text.splitlines()] == lines
        assert tab.run("document.documentElement.scrollWidth") <= 320 and tab.run(BEYOND) == []
        assert [one for one in tab.run(CONTRAST) if one[0] < 4.5] == []


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "en-US",
            ["Read on the first photo: white, round, GN", "Read on the second photo: white, oval, no imprint"],
        ),
        (
            "ko-KR",
            ["첫 번째 사진에서 읽은 것: 하양, 원형, GN", "두 번째 사진에서 읽은 것: 하양, 타원형, 새겨진 글자 없음"],
        ),
    ],
)
def test_what_was_read_of_both_sides(
    chromium: Chromium, photo: Path, tmp_path: Path, language: str, lines: list[str]
) -> None:
    together = both_sides("uncertain")
    back = replace(SURE, imprint="", shape="oval", shape_confidence=0.6)
    views = tuple(replace(view, reading=one) for view, one in zip(together.photos, (SURE, back), strict=True))
    snap = FixedSnap(single("known"), replace(together, photos=views))
    with opened(chromium, snap, catalogue=opened_catalogue(tmp_path), language=language) as tab:
        ask(tab, photo)
        assert texts(tab, ".read") == [], "the model read nothing of one side"
        add_side(tab, photo)
        tab.wait("document.querySelector('.read') !== null")
        assert texts(tab, ".read")[0].splitlines() == lines
        assert tab.run(f"{FIELDS}.map(one => one.value)") == ["GN", "white", "", "round", ""]


@pytest.mark.parametrize(
    ("language", "titles", "said"),
    [
        ("en-US", ["Not sure which: look it up", "Not recognised: look it up"], "Filled in is what the model read"),
        (
            "ko-KR",
            ["확실하지 않은 알약 찾아보기", "식별되지 않은 알약 찾아보기"],
            "모델이 어느 정도 확실하게 읽은 것을",
        ),
    ],
)
def test_what_was_read_is_looked_up_at_once_and_can_be_corrected(
    chromium: Chromium, photo: Path, tmp_path: Path, language: str, titles: list[str], said: str
) -> None:
    wrong = Reading("8B50", 0.8, "8B50", "oblong", 0.3, ("red", "white", "transparent"), 0.6, False)
    answer = read_as(combo(), SURE, SURE, wrong)
    with opened(chromium, FixedSnap(answer), catalogue=opened_catalogue(tmp_path), language=language) as tab:
        ask(tab, photo, mode="combo")
        tab.wait("document.querySelectorAll('.alike').length === 2")
        tab.wait("[...document.querySelectorAll('.alike')].every(one => one.children.length === 1)")
        assert texts(tab, ".look-up h4") == titles
        assert [text.startswith(said) for text in texts(tab, ".look-up .note:not([role], .alike *)")] == [True, True]
        names = [text.splitlines()[0] for text in texts(tab, ".alike li")]
        assert names == ["가나정 5mg", "다라캡슐"]
        assert tab.run(f"{FIELDS}.map(one => one.value)") == [
            "GN",
            "white",
            "",
            "round",
            "",
            "8B50",
            "red",
            "white",
            "",
            "",
        ]
        tab.run("document.querySelector('.fields').parentElement.id = 'first'")
        enter(tab, "imprint", "MW6")
        enter(tab, "colour", "yellow")
        enter(tab, "shape", "octagon")
        tab.wait("document.querySelector('#first .alike').innerText.startsWith('사아정')")
        asked = len([url for url in tab.requests if "v1/catalogue" in url])
        tab.run("document.querySelector('[aria-pressed=false]').click()")
        assert tab.run("document.querySelector('.fields input').value") == "MW6", "not what was read"
        assert len([url for url in tab.requests if "v1/catalogue" in url]) == asked


@pytest.mark.parametrize(
    ("answer", "offered"),
    [
        (read_as(single("known"), SURE), False),
        (read_as(single("uncertain"), NOTHING), True),
        (read_as(single("unknown"), NOTHING), True),
        (single("uncertain"), False),
    ],
)
def test_what_is_not_sure_is_not_filled_in(
    chromium: Chromium, photo: Path, tmp_path: Path, answer: Answer, offered: bool
) -> None:
    with opened(chromium, FixedSnap(answer), catalogue=opened_catalogue(tmp_path)) as tab:
        ask(tab, photo)
        assert len(texts(tab, ".look-up")) == offered
        assert tab.run(f"{FIELDS}.map(one => one.value).join('')") == ""
        assert [url for url in tab.requests if "v1/catalogue" in url] == []


def test_no_look_up_is_offered_without_a_catalogue(chromium: Chromium, photo: Path) -> None:
    with opened(chromium, FixedSnap(single("unknown"))) as tab:
        ask(tab, photo)
        assert texts(tab, ".look-up") == []
