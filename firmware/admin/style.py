"""The stylesheet and the icon, served as files of their own so that no page needs inline styles."""

from __future__ import annotations

__all__ = ["ICON", "STYLE"]

STYLE = """\
:root {
  color-scheme: light dark;
  --ground: #f4f6f8; --surface: #fff; --edge: #dde3e9; --text: #1b2530; --muted: #5b6875;
  --accent: #0b6b9e; --good: #17713f; --bad: #b3261e; --notice: #e8f2f9; --warning: #fdf3dc; --head: #10344a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11171d; --surface: #19222b; --edge: #2b3843; --text: #e4eaf0; --muted: #9aa8b5;
    --accent: #6cbbe8; --good: #6fd09a; --bad: #ff8f86; --notice: #16303f; --warning: #3a2f14; --head: #0c222f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header {
  display: flex; flex-wrap: wrap; gap: .75rem 2rem; align-items: end; justify-content: space-between;
  padding: 1.5rem max(1rem, calc((100vw - 72rem) / 2)); background: var(--head); color: #fff;
}
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
.product { margin: 0; font-size: .8rem; letter-spacing: .12em; text-transform: uppercase; opacity: .75; }
main {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem;
  max-width: 74rem; margin: 0 auto; padding: 1rem;
}
section {
  min-width: 0; padding: 1.1rem 1.25rem;
  background: var(--surface); border: 1px solid var(--edge); border-radius: .6rem;
}
.wide, .notice { grid-column: 1 / -1; }
.stack { display: grid; gap: 1rem; align-content: start; min-width: 0; }
h2 { margin: 0 0 .6rem; font-size: 1.05rem; font-weight: 650; }
dl { margin: 0; }
dl > div {
  display: grid; grid-template-columns: minmax(7rem, 10rem) minmax(0, 1fr); gap: .1rem 1rem;
  padding: .3rem 0; border-top: 1px solid var(--edge);
}
dl > div:first-child { border-top: 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
code { font: .88em/1.5 ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td {
  padding: .3rem .5rem .3rem 0; border-top: 1px solid var(--edge);
  text-align: left; font-weight: inherit; vertical-align: top;
}
thead th { border-top: 0; color: var(--muted); font-size: .85rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 1.25rem; }
.meters { margin-bottom: .6rem; }
.meters dd { display: flex; align-items: center; gap: .75rem; }
meter { flex: 1; min-width: 4rem; height: .8rem; }
.percent { min-width: 3.2rem; text-align: right; }
.line { white-space: nowrap; }
details { border-top: 1px solid var(--edge); padding: .5rem 0; }
details:last-child { padding-bottom: 0; }
summary { cursor: pointer; padding: .15rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .2rem; }
.downloads a {
  display: inline-block; padding: .1rem .7rem;
  border: 1px solid currentColor; border-radius: 1rem; text-decoration: none;
}
.downloads a:hover { background: var(--notice); }
.notice { margin: 0; padding: .7rem 1.25rem; background: var(--notice); border-radius: .6rem; }
section > .notice { margin-bottom: .6rem; }
.warning { background: var(--warning); }
.muted { color: var(--muted); }
section > .muted { margin: 0 0 .6rem; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.pills { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0; padding: 0; list-style: none; }
.pill { padding: .1rem .7rem; border: 1px solid #ffffff55; border-radius: 1rem; font-size: .85rem; }
.pill::before {
  content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .45em;
  border-radius: 50%; background: #9aa8b5;
}
.pill.good, .pill.bad { color: inherit; }
.pill.good::before { background: #6fd09a; }
.pill.bad::before { background: #ff8f86; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { padding: .5rem 1rem 2rem; text-align: center; color: var(--muted); font-size: .85rem; }
@media (min-width: 48rem) and (max-width: 70rem) {
  .stack { grid-column: 1 / -1; grid-template-columns: 1fr 1fr; align-content: stretch; }
}
@media (max-width: 30rem) {
  dl > div { grid-template-columns: 1fr; }
  dt { font-size: .85rem; }
}
@media print {
  header { background: none; color: inherit; }
  section { break-inside: avoid; }
}
"""

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#10344a"/>
<path d="M6 20h20v5H6z" fill="#fff"/>
<circle cx="10" cy="22.500" r="1.200" fill="#17713f"/>
<circle cx="14" cy="22.500" r="1.200" fill="#17713f"/>
<path d="M16 7v9m-4-6a6 6 0 0 1 8 0m-11-3a10 10 0 0 1 14 0"
 fill="none" stroke="#6cbbe8" stroke-width="2" stroke-linecap="round"/>
</svg>
"""
