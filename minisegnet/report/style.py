"""How the page looks, and the few lines of script that sort its list; both stand in the page itself."""

# Blue is right and orange is wrong: Okabe's and Ito's colours (orange darker, so that white can be read on it), which
# people with any kind of colour vision can tell apart. No meaning is in a colour alone.
STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f5f7f9; --ink: #1d2329; --quiet: #57606a; --line: #d5dbe1;
  --link: #00609a; --right: 0 114 178; --wrong: 190 78 0; --unknown: #e9ecef;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181c; --raised: #1d2329; --ink: #e8ecf0; --quiet: #a3adb7; --line: #363f48;
    --link: #6cc0f5; --right: 38 132 196; --wrong: 205 96 20; --unknown: #262d34;
  }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --raised: #f5f7f9; --ink: #000000; --quiet: #444444; --line: #bbbbbb;
    --link: #000000; --right: 0 114 178; --wrong: 190 78 0; --unknown: #e9ecef;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 74rem; overflow-wrap: anywhere;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK KR", sans-serif;
}
h1 { margin: 0 0 1rem; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); font-size: 1.35rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1.05rem; }
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--link); }
.kind { margin: 0; color: var(--quiet); font-size: .85rem; letter-spacing: .04em; text-transform: uppercase; }
.quiet, small, figcaption { color: var(--quiet); font-size: .85rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 1.25rem 0 0; padding: 0; list-style: none; }

dl { margin: 0; }
dd { margin: 0; }
.facts > div { display: grid; grid-template-columns: 9.5rem 1fr; gap: .75rem; padding: .15rem 0; }
.facts dt { color: var(--quiet); }
.terms { columns: 26rem auto; column-gap: 2.5rem; }
.terms > div { break-inside: avoid; padding-bottom: .75rem; }
.terms dt { font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .75rem; }
.tiles > div { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--raised); }
.tiles dt { font-weight: 600; }
.tiles .value { margin: .1rem 0 .25rem; font-size: 2rem; line-height: 1.15; font-variant-numeric: tabular-nums; }
.tiles .words { color: var(--quiet); font-size: .85rem; line-height: 1.35; }
.tiles + p { margin-top: 1rem; }
.hints { padding-left: 1.2rem; }
.hints li { margin: .4rem 0; max-width: 50rem; }
code { white-space: nowrap; }
.plain { margin: .25rem 0 1rem; padding-left: 1.5rem; }

.scroll { margin: 1rem 0; max-width: 100%; overflow-x: auto; container-type: inline-size; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.long { max-height: 36rem; overflow-y: auto; border: 1px solid var(--line); border-radius: .5rem; }
.long caption { padding: .6rem .75rem; }
.long caption > div { left: .75rem; max-width: min(46rem, 100cqw - 1.5rem); }
.long thead th { position: sticky; top: 0; z-index: 2; background: var(--raised); }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.classes, .sortable { min-width: 100%; }
caption { padding-bottom: .5rem; text-align: left; color: var(--quiet); font-size: .88rem; }
caption > div { position: sticky; left: 0; max-width: min(48rem, 100vw - 2rem); max-width: min(48rem, 100cqw); }
caption strong { color: var(--ink); }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; font-size: .85rem; white-space: normal; }
tbody th { font-weight: 500; }
tfoot th, tfoot td { border-top: 2px solid var(--line); font-weight: 600; }
th.name { text-align: left; white-space: nowrap; }
.name > span:not(.swatch), .across > span:not(.swatch) {
  display: inline-block; width: max-content; max-width: 15rem; vertical-align: top;
  white-space: normal; overflow-wrap: anywhere;
}
tbody th.name, tfoot th.name, thead th.name { position: sticky; left: 0; z-index: 1; background: var(--page); }
.long thead th.name { z-index: 3; background: var(--raised); }
.swatch {
  display: inline-block; width: .8em; height: .8em; margin-right: .45em; vertical-align: -.05em;
  border: 1px solid var(--quiet); border-radius: .15em; print-color-adjust: exact;
}
.bar {
  background: linear-gradient(to right, rgb(var(--right) / .28) var(--part, 0%), transparent var(--part, 0%));
  print-color-adjust: exact;
}
.bar { min-width: 6.5rem; }
thead .spread, .spread { text-align: left; white-space: nowrap; }
.spread svg { display: block; }
.track { stroke: var(--line); stroke-width: 1; }
.range { stroke: var(--quiet); stroke-width: 1.5; }
.box { fill: rgb(var(--right) / .45); }
.median { stroke: var(--ink); stroke-width: 2; }

.confusion td, .confusion .across { min-width: 3.4rem; border: 1px solid var(--page); text-align: center; }
.confusion .right { background: rgb(var(--right) / var(--a)); print-color-adjust: exact; }
.confusion .wrong { background: rgb(var(--wrong) / var(--a)); print-color-adjust: exact; }
.confusion .strong { color: #ffffff; }
.confusion .none { background: var(--raised); }
.confusion .unknown { background: var(--unknown); }
.confusion td.number { text-align: right; color: var(--quiet); font-size: .85rem; }
.across > span:not(.swatch) { max-width: 8rem; }
.confusion .across .swatch { display: block; margin: 0 auto .25rem; }
.confusion .corner { color: var(--quiet); font-weight: 400; }
.small td, .small tbody th { padding: .15rem .25rem; font-size: .75rem; }
.small td, .small .across { min-width: 1.9rem; }
.small .across { padding: .3rem .1rem; }
.small .across > span:not(.swatch) {
  width: auto; max-height: 9rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  writing-mode: vertical-rl; transform: rotate(180deg);
}

.beside { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-start; }
.beside > figure { flex: 0 1 24rem; min-width: 0; margin: 0; }
.beside > div { flex: 1 1 20rem; min-width: 0; }
.reliability { display: block; width: 100%; height: auto; }
.reliability text { fill: var(--quiet); font-size: 11px; }
.reliability .grid { stroke: var(--line); stroke-width: 1; }
.reliability .bar { fill: rgb(var(--right) / .75); }
.reliability .mark { fill: var(--ink); }
.reliability .gap { fill: rgb(var(--wrong) / .35); stroke: rgb(var(--wrong)); stroke-width: 1; }
.reliability .ideal { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 2 4; }
.reliability .count { fill: var(--quiet); }
details { margin: 1rem 0; }
summary { cursor: pointer; }

.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1rem 0; padding: 0; list-style: none; }
article { margin: 1.5rem 0 2rem; }
article p { margin: .15rem 0; }
.panels { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .5rem; margin: .5rem 0; }
.panels figure { margin: 0; }
.panels img {
  display: block; width: 100%; height: auto; max-height: 80vh; object-fit: contain;
  border: 1px solid var(--line); image-rendering: pixelated; print-color-adjust: exact;
}
.sortable button {
  padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: inherit; cursor: pointer;
}
.sortable button::after { content: " ↕"; color: var(--quiet); }
.sortable [aria-sort=ascending] button::after { content: " ↑"; }
.sortable [aria-sort=descending] button::after { content: " ↓"; }
footer {
  margin-top: 3rem; padding-top: .75rem; border-top: 1px solid var(--line); color: var(--quiet); font-size: .85rem;
}

@media (max-width: 44rem) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .facts > div { grid-template-columns: 1fr; gap: 0; padding: .25rem 0; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tiles .value { font-size: 1.6rem; }
  .panels { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .name > span:not(.swatch) { max-width: 8rem; }
  .tiles > :last-child:nth-child(odd) { grid-column: 1 / -1; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 9pt; }
  nav { display: none; }
  .scroll, .long { max-height: none; overflow: visible; border: 0; }
  article, .tiles > div, tr { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  th, td { padding: .2rem .35rem; }
  tfoot { display: table-row-group; }
  thead th, tbody th.name, tfoot th.name, .long thead th { position: static; }
}
"""

# Without it the list is sorted by mIoU, and all is there.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, k) => {
    const cell = row.cells[k], told = cell.dataset.value;
    return told === undefined ? cell.textContent : told === "" ? Infinity : Number(told);
  };
  const before = (a, b) => typeof a === "string" ? a.localeCompare(b, undefined, {numeric: true}) : a - b || 0;
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => before(value(a, k), value(b, k)));
      body.append(...(up ? rows : rows.reverse()));
    });
  });
}
"""
