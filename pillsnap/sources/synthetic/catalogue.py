"""Catalogue of invented drugs, which differ as real ones do, some by their imprint only."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

COLOURS = {
    "하양": (238, 236, 230),
    "노랑": (240, 208, 84),
    "주황": (236, 142, 62),
    "분홍": (238, 168, 176),
    "빨강": (196, 48, 46),
    "갈색": (140, 88, 56),
    "연두": (176, 210, 110),
    "초록": (70, 146, 86),
    "청록": (70, 164, 168),
    "파랑": (76, 128, 206),
    "남색": (52, 66, 132),
    "자주": (142, 52, 92),
    "보라": (150, 116, 190),
    "회색": (160, 160, 158),
}
"""RGB values of AIHub's colour names."""

_COLOUR_SHARES = (30, 10, 9, 9, 4, 5, 5, 4, 3, 6, 2, 3, 4, 4)
_SHAPE_SHARES = {
    "원형": 36,
    "장방형": 22,
    "타원형": 20,
    "삼각형": 2,
    "사각형": 4,
    "마름모형": 2,
    "오각형": 2,
    "육각형": 4,
    "팔각형": 4,
    "반원형": 2,
}
_TABLETS = ("나정", "필름코팅정")
_FORMS = (*_TABLETS, "경질캡슐제", "연질캡슐제")
_SYLLABLES = "가나다라마바사아자카타파하로미소비트라린센톤펜졸넥델비온스타메디큐레노벨"
_LATIN = (
    "ra", "lo", "mi", "so", "ve", "ton", "pen", "zol", "nex", "del", "bi", "on", "sta", "me", "cu", "re", "no", "vel",
)  # fmt: skip
_MAKERS = (
    "가온누리제약", "해오름바이오", "새빛헬스팜", "두루미약품", "한결메디스", "솔바람제약", "물푸레파마", "늘봄약품",
)  # fmt: skip


@dataclass(frozen=True)
class Drug:
    """One invented drug: the fields of AIHub's label, named as there, and properties for drawing.

    Lengths are millimetres; imprints are empty where the side is blank. `joint` is where the cap of a hard capsule
    ends, from its middle on, as a share of half its length.
    """

    k_code: str
    dl_idx: str
    dl_name: str
    dl_name_en: str
    dl_material: str
    dl_company: str
    item_seq: int
    di_edi_code: str
    di_class_no: str
    di_etc_otc_code: str
    drug_shape: str
    thick: float
    leng_long: float
    leng_short: float
    print_front: str
    print_back: str
    color_class1: str
    color_class2: str
    line_front: str
    line_back: str
    chart: str
    form_code_name: str
    tint: tuple[int, int, int]
    debossed: bool
    speckled: bool
    joint: float = 0.06

    @property
    def capsule(self) -> bool:
        """Whether it is a two-piece hard capsule."""
        return self.form_code_name == "경질캡슐제"

    @property
    def soft(self) -> bool:
        """Whether it is a soft gelatine capsule."""
        return self.form_code_name == "연질캡슐제"

    @property
    def glossy(self) -> bool:
        """Whether its surface shines: coated tablets and capsules."""
        return self.form_code_name != "나정"


def make_catalogue(*, drugs: int, seed: int) -> list[Drug]:
    """Make the first `drugs` invented drugs of a seed; a longer catalogue begins with the shorter one."""
    catalogue: list[Drug] = []
    looks: set[tuple[object, ...]] = set()
    imprints: set[str] = set()
    for index in range(drugs):
        rng = key_rng(seed, "drug", index)
        if index % 20 == 19:  # the pair shares everything but the imprint, which then is on both sides
            catalogue.append(_look_alike(catalogue[-1], index, rng, imprints))
        else:
            catalogue.append(_new_drug(index, rng, looks, imprints, paired=index % 20 == 18))
    return catalogue


def key_rng(seed: int, *key: object) -> np.random.Generator:
    """Return a generator for (seed, key), the same in every process."""
    digest = hashlib.sha256(repr((seed, *key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _new_drug(
    index: int, rng: np.random.Generator, looks: set[tuple[object, ...]], imprints: set[str], *, paired: bool
) -> Drug:
    for _ in range(30):
        look = _look(rng)
        # size is left out: a crop shows every pill equally large
        key = tuple(look[name] for name in ("drug_shape", "form_code_name", "color_class1", "color_class2"))
        if key not in looks:
            break
    # drugs that look the same differ by imprints on both sides
    both_sides = paired or key in looks or rng.random() < 0.3
    looks.add(key)
    back = _imprint(rng, imprints) if both_sides else ""
    scored = not back and rng.random() < 0.35 and look["form_code_name"] in _TABLETS
    return Drug(
        **_names(index, rng, look["form_code_name"]),
        **look,
        print_front=_imprint(rng, imprints),
        print_back=back,
        line_front="",
        line_back="-" if scored else "",
    )


def _look_alike(other: Drug, index: int, rng: np.random.Generator, imprints: set[str]) -> Drug:
    names = _names(index, rng, other.form_code_name)
    return replace(other, **names, print_front=_imprint(rng, imprints), print_back=_imprint(rng, imprints))


def _look(rng: np.random.Generator) -> dict[str, Any]:
    form = _FORMS[rng.choice(4, p=[0.3, 0.42, 0.2, 0.08])]
    first, second = rng.choice(len(COLOURS), 2, p=np.array(_COLOUR_SHARES) / sum(_COLOUR_SHARES))
    names = list(COLOURS)
    shares = np.array(list(_SHAPE_SHARES.values()))
    shape = str(rng.choice(list(_SHAPE_SHARES), p=shares / shares.sum()))
    if form == "경질캡슐제":
        shape, long = "장방형", float(rng.choice([14.3, 15.9, 18.0, 19.4, 21.7]))
        short = thick = round(long * 0.36, 2)
    elif form == "연질캡슐제":
        shape = "타원형" if rng.random() < 0.6 else "장방형"
        long = round(rng.uniform(9, 19), 2)
        short = thick = round(long * rng.uniform(0.5, 0.65), 2)
    else:
        long = round({"장방형": rng.uniform(11, 19), "타원형": rng.uniform(9, 17)}.get(shape, rng.uniform(6, 12)), 2)
        ratios = {"장방형": rng.uniform(0.38, 0.5), "타원형": rng.uniform(0.5, 0.72), "반원형": 0.62, "마름모형": 0.7}
        ratio = ratios.get(shape, 1.0)
        short, thick = round(long * ratio, 2), round(rng.uniform(2.6, 4.4) + 0.06 * long, 2)
    tint = np.clip(np.array(COLOURS[names[first]]) + rng.normal(0, 6, 3), 8, 246).astype(int)
    return {
        "drug_shape": shape,
        "form_code_name": form,
        "color_class1": names[first],
        "color_class2": names[second] if form == "경질캡슐제" and second != first else "",
        "leng_long": long,
        "leng_short": short,
        "thick": thick,
        "tint": tuple(int(value) for value in tint),
        "debossed": form in _TABLETS and rng.random() < 0.8,
        "speckled": form == "나정" and rng.random() < 0.25,
        "chart": "",
    }


def _imprint(rng: np.random.Generator, taken: set[str]) -> str:
    """Draw a code of letters and digits that no other side of the catalogue has, while there are any left."""
    letters = "ABCDEFGHKLMNPRSTUVWXYZ"
    for _ in range(50):
        code = "".join(rng.choice(list(letters), rng.integers(1, 3)))
        code += str(rng.integers(1, 100)) if rng.random() < 0.75 else ""
        if code not in taken and len(code) > 1:
            break
    taken.add(code)
    return code


def _names(index: int, rng: np.random.Generator, form: str) -> dict[str, Any]:
    number = 114 + 7 * index + int(rng.integers(0, 7))
    latin = "".join(rng.choice(_LATIN, rng.integers(2, 4))).capitalize()
    korean = "".join(rng.choice(list(_SYLLABLES), rng.integers(2, 4)))
    strength = int(rng.choice([2, 5, 10, 20, 25, 50, 100, 150, 200, 250, 500]))
    kind = "캡슐" if "캡슐" in form else "정"
    codes = [f"{int(rng.integers(640_000_000, 679_999_999))}" for _ in range(int(rng.choice([0, 1, 1, 1, 2])))]
    return {
        "k_code": f"K-{number:06d}",
        "dl_idx": str(number - 1),
        "dl_name": f"{korean}{kind} {strength}mg",
        "dl_name_en": f"{latin} {'Cap.' if kind == '캡슐' else 'Tab.'} {strength}mg",
        "dl_material": f"{latin.lower()}ine",
        "dl_company": str(rng.choice(_MAKERS)),
        "item_seq": int(rng.integers(195_500_000, 202_500_000)),
        "di_edi_code": ",".join(codes),
        "di_class_no": f"[{int(rng.integers(1, 7))}{int(rng.integers(10, 99))}00]",
        "di_etc_otc_code": "전문의약품" if rng.random() < 0.7 else "일반의약품",
    }
