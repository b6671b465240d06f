"""The bare page: one HTML file with its style inside and nothing fetched from elsewhere."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from astro_lightning.core.provenance import write_text
from astro_lightning.report.wording import breakable

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

_LEAST_SCALE, _MOST_PX = 0.72, 640
_PNG_SCALE = 96 / 130  # PNG files are drawn at 130 dots an inch
_STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1f2937;--muted:#667085;--line:#e4e7ec;
--accent:#0072b2;--warn-ink:#7a3e00;--warn-paper:#fff3e0;--warn-line:#f0b775}
@media(prefers-color-scheme:dark){:root{--paper:#0e1319;--card:#161d26;--ink:#e5e7eb;--muted:#98a2b3;--line:#2b3440;
--accent:#4aa3df;--warn-ink:#ffd7a3;--warn-paper:#33240f;--warn-line:#7d5a24}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:72rem;margin:0 auto;padding:1.75rem 1rem 3rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .25rem;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2.4rem 0 .8rem}
h3{font-size:.95rem;margin:0 0 .4rem}
p{margin:.3rem 0}
.sub,.note,figcaption{color:var(--muted)}
.note,figcaption{font-size:.85rem}
.sub span{display:inline-block}
.sub span:not(:last-child)::after{content:"·";margin:0 .5em}
.warn{background:var(--warn-paper);border:1px solid var(--warn-line);color:var(--warn-ink);border-radius:10px;
padding:.65rem .9rem;margin:1rem 0}
.tag{display:inline-block;vertical-align:middle;margin-left:.6rem;padding:.1rem .55rem;border-radius:99px;
font-size:.75rem;font-weight:600;letter-spacing:.03em;background:var(--warn-paper);color:var(--warn-ink);
border:1px solid var(--warn-line)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.75rem;margin:1.25rem 0 .5rem}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.tile{padding:.75rem .9rem}
.tile b{display:block;font-size:1.6rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.tile .name{color:var(--muted);font-size:.8rem;overflow-wrap:anywhere}
.tile .interval{color:var(--muted);font-size:.8rem;font-variant-numeric:tabular-nums;min-height:1.3em;display:block}
.grid{columns:2;column-gap:1rem}
.grid>*{break-inside:avoid;margin:0 0 1rem}
.card{padding:.9rem 1rem;min-width:0}
.grid>.wide{column-span:all;margin-top:1rem}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
figure{margin:0}
figure img{display:block;max-width:100%;height:auto;margin:0 auto .5rem}
figure.wide .scroll img{max-width:none}
figure.wide .scroll img.fits{max-width:100%}
img.paper{background:#fff;border-radius:8px}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.5rem 1rem}
.panels img{width:100%}
.panels>img{min-width:0!important}
.panels.one{grid-template-columns:minmax(0,1fr)}
.panels.few{grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.tall .scroll{max-height:36rem;overflow:auto}
.tall thead th{position:sticky;top:0;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:baseline}
tr:last-child td{border-bottom:0}
th{color:var(--muted);font-weight:600;white-space:nowrap}
.num{text-align:right;white-space:nowrap}
td.bar{min-width:6.5rem;background:no-repeat .6rem 100%/calc(100% - 1.2rem) 3px
linear-gradient(90deg,var(--accent) var(--share),var(--line) var(--share))}
td{min-width:4.2rem}
td:first-child{min-width:6rem}
.scroll th:first-child,.scroll td:first-child{position:sticky;left:0;background:var(--card);z-index:1}
td small{color:var(--muted)}
pre,code{font:.84rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;user-select:all}
td code{overflow-wrap:anywhere}
td:first-child:has(code){min-width:10rem}
td:first-child:has(wbr){min-width:8rem}
details{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.2rem 1rem;margin:.75rem 0}
summary{cursor:pointer;padding:.5rem 0;font-weight:600}
details>:last-child{margin-bottom:.8rem}
@media(max-width:52rem){.grid{columns:1}main{padding:1.1rem .75rem 2rem}h1{font-size:1.4rem}
.card{padding:.75rem}details{padding:.2rem .75rem}th,td{padding-inline:.4rem}.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media print{body{background:#fff}.card,.tile,details{break-inside:avoid}}
"""


def write_page(path: Path, title: str, body: str) -> Path:
    """Write the page; `body` is HTML, `title` plain text."""
    write_text(path, _PAGE.substitute(title=escape(title), style=_STYLE, body=body))
    return path


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A table that scrolls sideways on a narrow screen.

    Args:
        header: Plain text.
        rows: Cells as HTML: what a user wrote must have been escaped. A cell that starts with `<td` is taken whole.
        text_columns: How many columns from the left hold text; the others are numbers and stand to the right.
    """

    def cells(row: Sequence[str], tag: str) -> str:
        marks = ("" if i < text_columns else ' class="num"' for i in range(len(row)))
        return "".join(
            cell if cell.startswith("<td") else f"<{tag}{mark}>{cell}</{tag}>" for cell, mark in zip(row, marks)
        )

    head = f"<thead><tr>{cells([escape(h) for h in header], 'th')}</tr></thead>" if any(header) else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>\n" for row in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def tile(name: str, value: str, below: str = "") -> str:
    """One large number."""
    return (
        f'<div class="tile"><span class="name">{breakable(name)}</span><b>{escape(value)}</b>'
        f'<span class="interval">{escape(below)}</span></div>'
    )


def folded(summary: str, content: str) -> str:
    """Content that opens on demand."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def png_image(content: bytes, title: str) -> str:
    """A PNG inside the page, on white paper also where the page is dark."""
    data = base64.b64encode(content).decode()
    least = least_width(png_width(content))
    return f'<img class="paper fits" alt="{escape(title)}"{least} src="data:image/png;base64,{data}">'


def png_width(content: bytes) -> float:
    """Width of a PNG file in pixels of the page, at the size it was drawn for."""
    return _PNG_SCALE * int.from_bytes(content[16:20], "big")


def least_width(natural_px: float) -> str:
    """The attribute that keeps a picture's letters readable on a narrow screen, where it scrolls sideways if need be."""
    return f' style="min-width:{min(round(_LEAST_SCALE * natural_px), _MOST_PX)}px"'


def small_png(path: Path) -> bytes:
    """The file as it is, or with fewer pixels and colours where it is heavy."""
    content = path.read_bytes()
    if len(content) <= 400_000:
        return content
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((1400, 2800))
        buffer = io.BytesIO()
        image.convert("RGB").quantize(128).save(buffer, "PNG", optimize=True)
    return min(content, buffer.getvalue(), key=len)
