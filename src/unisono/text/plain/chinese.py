"""Chinese number words; num2words has none."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_GROUPS = ("", "万", "亿", "万亿")
_PLACES = ("", "十", "百", "千")


def chinese_number(value: int) -> str:
    """105 -> 一百零五, 12 -> 十二, 20000 -> 两万 (written 二万). ValueError from 10**16 on or below zero."""
    if not 0 <= value < 10**16:
        raise ValueError(f"{value} is outside 0 to 10**16 - 1")
    if value == 0:
        return _DIGITS[0]
    groups: list[int] = []
    rest = value
    while rest:
        rest, group = divmod(rest, 10_000)
        groups.append(group)
    spoken = ""
    for scale in reversed(range(len(groups))):
        group = groups[scale]
        if group == 0:
            continue
        if spoken and group < 1000:
            spoken += _DIGITS[0]
        spoken += _four(group) + _GROUPS[scale]
    return spoken[1:] if spoken.startswith("一十") else spoken


def _four(group: int) -> str:
    """A number below 10000."""
    spoken, gap = "", False
    for place in reversed(range(4)):
        digit = group // 10**place % 10
        if digit == 0:
            gap = bool(spoken)
            continue
        spoken += (_DIGITS[0] if gap else "") + _DIGITS[digit] + _PLACES[place]
        gap = False
    return spoken
