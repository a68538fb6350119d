"""HTML from small functions: text is escaped unless it is markup already, so that no name can become a tag."""

import html
import re
from collections.abc import Iterable

VOID = frozenset(
    {"br", "img", "meta"}
)  # HTML elements that hold nothing (those of SVG are closed like others)
NOTHING = "–"  # what is written where there is nothing to measure

# What HTML can't hold: control characters, and halves of letters, as file names that aren't UTF-8 become.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Text that is markup. Only the functions here make it."""

    __slots__ = ()


def escape(text: object) -> Html:
    r"""Return text as markup that shows it, letter by letter.

    >>> escape("<script>'&\"")
    '&lt;script&gt;&#x27;&amp;&quot;'
    >>> escape(tag("b", "bold"))  # it is markup already
    '<b>bold</b>'
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(UNPRINTABLE.sub("\ufffd", str(text))))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    r"""Return an element: its children one after the other, its attributes by name.

    A name may end in _ where Python keeps the word for itself, and other _ become -. An attribute that is None or
    False is left out; one that is True stands without a value.

    >>> tag("td", "a < b", class_="name", data_value=1, hidden=False)
    '<td class="name" data-value="1">a &lt; b</td>'
    >>> tag("img", alt="Is it a \"cell\"?")
    '<img alt="Is it a &quot;cell&quot;?">'
    """
    told = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.removesuffix("_").replace("_", "-")
        told.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    if name in VOID:
        return Html(f"<{name}{''.join(told)}>")
    return Html(f"<{name}{''.join(told)}>{join(children)}</{name}>")


def join(children: Iterable[object], between: str = "") -> Html:
    """Put text and markup one after the other.

    >>> join(["1 < 2", tag("br")])
    '1 &lt; 2<br>'
    """
    return Html(between.join(escape(child) for child in children))


def raw(text: str) -> Html:
    """Take a text as markup: for what this package wrote itself (its style and its script), and for nothing else."""
    return Html(text)


# ---------------------------------------------------------------------------------------------------------
# Tables


def table(
    caption: str,
    heads: Iterable[Html],
    rows: Iterable[Html],
    *,
    foot: Html | None = None,
    note: object = "",
    class_: str | None = None,
    box: str = "scroll",
) -> Html:
    """Return a table with a caption, in a box of its own that scrolls where the page is too narrow."""
    parts = [
        captioned(caption, note),
        tag("thead", tag("tr", *heads)),
        tag("tbody", join(rows, "\n")),
        tag("tfoot", foot) if foot else "",
    ]
    return scrolling(tag("table", *parts, class_=class_), caption, class_=box)


def captioned(title: str, note: object = "") -> Html:
    """Return a table's caption: a title and what else there is to say. It stays in view where the table scrolls."""
    return tag("caption", tag("div", tag("strong", title), " ", note))


def scrolling(content: Html, label: object, *, class_: str = "scroll") -> Html:
    """Put something wide (or long) into a box that scrolls by itself, also with the keyboard."""
    return tag("div", content, class_=class_, role="region", tabindex=0, aria_label=label)


def head(text: object, *, class_: str | None = None, title: str | None = None) -> Html:
    """Return the head of a column."""
    return tag("th", text, scope="col", class_=class_, title=title)


def row_head(text: object, swatch: object = "") -> Html:
    """Return the head of a row: a name, with a colour before it where it has one."""
    return tag("th", swatch, tag("span", text), scope="row", class_="name")


def cell(text: object, *, value: object = None, class_: str = "number", **attributes: object) -> Html:
    """Return a cell of a table; ``value`` is what it is sorted by, where that isn't its text."""
    return tag("td", text, class_=class_ or None, data_value=value, **attributes)


# ---------------------------------------------------------------------------------------------------------
# Numbers


def number(value: float | None) -> str:
    """Write a number from 0 to 1, or – where there is none.

    >>> number(0.12345), number(None)
    ('0.123', '–')
    """
    return NOTHING if value is None else f"{value:.3f}"


def count(value: int) -> str:
    """Write a whole number.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{value:,}"


def percent(share: float | None) -> str:
    """Write a share in per cent; one that isn't 0 or 1 is not rounded to that.

    >>> [percent(share) for share in (1.0, 0.9999, 0.5, 0.0001, 0.0, None)]
    ['100', '>99.9', '50.0', '<0.1', '0', '–']
    """
    if share is None:
        return NOTHING
    if share in (0, 1):
        return f"{100 * share:.0f}"
    value = 100 * share
    if value > 99.95:
        return ">99.9"
    return "<0.1" if value < 0.05 else f"{value:.1f}"


def times(height: int, width: int) -> str:
    """Write a size.

    >>> times(96, 128)
    '96 × 128'
    """
    return f"{height} × {width}"


def plural(number: int, word: str) -> str:
    """Write how many there are of something.

    >>> plural(1, "picture"), plural(1200, "picture")
    ('1 picture', '1,200 pictures')
    """
    return f"{count(number)} {word}{'s' * (number != 1)}"
