/** The style sheet of reports: light or dark as the reader's system says, and made to be printed. */
export const pageStyle: string = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --card: #ffffff; --ink: #1d2025; --soft: #5b626d; --faint: #8b929c; --rule: #e4e5e1;
  --pos: #0f766e; --neg: #b45309; --grey: #9aa1ab; --band: #e9ebee; --wash: 62%;
  --good: #0f766e; --bad: #a3381c; --warn: #92600a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1b1f25; --ink: #e8eaed; --soft: #a9b0ba; --faint: #7e8692; --rule: #2d333b;
    --pos: #4fc3b5; --neg: #eda15a; --grey: #737c88; --band: #2a3038; --wash: 46%;
    --good: #4fc3b5; --bad: #f0907a; --warn: #e3b25c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.75rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: .2rem 0 .4rem; letter-spacing: -.015em; font-weight: 680; }
h1 .against { color: var(--faint); font-weight: 400; }
h2 { font-size: 1.16rem; margin: 2.75rem 0 .3rem; letter-spacing: -.005em; }
h3 { font-size: .95rem; margin: 1.4rem 0 .5rem; font-weight: 620; }
p { margin: .35rem 0 .8rem; }
.overline { color: var(--soft); font-size: .8rem; letter-spacing: .07em; text-transform: uppercase; margin: 0; }
.lead { color: var(--soft); max-width: 46rem; }
.note { color: var(--soft); font-size: .87rem; max-width: 48rem; }
a { color: var(--pos); }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.finding { margin: 1.5rem 0 1.2rem; padding: 1.15rem 1.35rem; background: var(--card); border: 1px solid var(--rule);
  border-left: 5px solid var(--tone); border-radius: 8px; }
.finding p { margin: .55rem 0 0; font-size: 1.08rem; line-height: 1.5; }
.finding ul { margin: .7rem 0 0; padding-left: 1.1rem; color: var(--soft); font-size: .9rem; }
.verdict { color: var(--tone); font-weight: 680; font-size: .95rem; }
.tone-good { --tone: var(--good); } .tone-bad { --tone: var(--bad); } .tone-warn { --tone: var(--warn); }
.tone-plain { --tone: var(--grey); }
.tiles { --columns: 3; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(max(9.5rem, calc((100% - 2.25rem) / var(--columns))), 1fr)); margin: 0 0 .5rem; padding: 0; }
h1 + .tiles { margin-top: 1rem; }
.tiles:has(> :nth-child(4):last-child) { --columns: 4; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .7rem .9rem .75rem; }
.tile dt { color: var(--soft); font-size: .8rem; }
.tile dd { margin: .1rem 0 0; font-size: 1.42rem; font-weight: 640; font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.tile dd small { display: block; font-size: .78rem; font-weight: 400; color: var(--soft); letter-spacing: 0; line-height: 1.35; }
figure { margin: .8rem 0 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 1rem 1.1rem .9rem; }
figure h3 { margin-top: 0; }
figcaption { color: var(--soft); font-size: .86rem; margin-top: .55rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .9rem; }
.pair figure { margin-top: .5rem; }
.chart { display: block; width: 100%; height: auto; font-size: 12px; }
.chart text { fill: var(--soft); } .chart .value { fill: var(--ink); font-variant-numeric: tabular-nums; }
.chart .middle { text-anchor: middle; } .chart .end { text-anchor: end; } .chart .start { text-anchor: start; }
.chart .rule { stroke: var(--rule); stroke-width: 1; } .chart .axis { stroke: var(--faint); }
.chart .baseline { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 2 4; }
.chart .floor { stroke: var(--warn); stroke-dasharray: 5 4; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .line.trait { stroke: var(--pos); stroke-width: 2.5; } .chart .dot.trait, .chart .mark.trait { fill: var(--pos); }
.chart .whisker { stroke: var(--pos); stroke-width: 1.5; }
.chart .line.random { stroke: var(--grey); stroke-width: 1; opacity: .55; } .chart .dot.random { fill: var(--grey); opacity: .75; }
.chart .line.coherence { stroke: var(--soft); stroke-width: 1.5; } .chart .dot.coherence { fill: var(--soft); }
.chart .line.curve-0, .legend .curve-0 { stroke: var(--pos); } .chart .line.curve-1, .legend .curve-1 { stroke: var(--neg); }
.chart .line.curve-2, .legend .curve-2 { stroke: var(--soft); } .chart .line.curve-3, .legend .curve-3 { stroke: var(--bad); }
.chart .dot { fill: var(--pos); } .legend { vertical-align: middle; } .legend .line { fill: none; stroke-width: 2; }
.chart .band { fill: var(--band); } .chart .bar { fill: var(--grey); } .chart .bar.chosen { fill: var(--pos); }
.chart .bin.pos { fill: var(--pos); opacity: .85; } .chart .bin.neg { fill: none; stroke: var(--neg); stroke-width: 2; }
.swatch { display: inline-block; width: .9em; height: .9em; vertical-align: -.1em; margin-right: .35em; border-radius: 2px; }
.swatch.pos { background: var(--pos); } .swatch.neg { border: 1.5px solid var(--neg); }
.key { display: inline-block; width: 1.5em; height: 0; border-top: 2.5px solid var(--pos); vertical-align: middle; margin-right: .35em; }
.key.random { border-top: 1.5px solid var(--grey); } .key.zero { border-top: 1.5px dotted var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th { font-weight: 560; color: var(--soft); text-align: right; padding: .3rem .5rem; white-space: nowrap; }
td { padding: .3rem .5rem; text-align: right; }
.heat { width: 100%; table-layout: fixed; border-collapse: separate; border-spacing: 3px; }
.heat td { padding: .32rem .1rem; text-align: center; border-radius: 5px; line-height: 1.2;
  background: color-mix(in srgb, var(--hue) calc(var(--depth) * var(--wash)), var(--card)); border: 1.5px solid transparent; }
.heat td small { display: block; font-size: .72rem; opacity: .78; }
.heat td.up { --hue: var(--pos); } .heat td.down { --hue: var(--neg); }
.heat td.broken small { text-decoration: line-through; } .heat td.best { border-color: var(--ink); font-weight: 680; }
.heat th { text-align: center; padding: .2rem; } .heat tbody th { text-align: right; padding-right: .45rem; width: 3rem; }
.heat.matrix { table-layout: auto; } .heat.matrix tbody th { width: auto; } .heat.matrix td { min-width: 3.2rem; }
.plain { width: 100%; } .plain th, .plain td { border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
.plain td.number, .plain th.number { text-align: right; white-space: nowrap; } .plain tr:last-child > * { border-bottom: 0; }
.plain td { overflow-wrap: anywhere; }
.scroll .plain td { overflow-wrap: break-word; }
.share { width: 42%; } .share span { display: block; height: .7rem; margin-top: .35em; border-radius: 3px; background: var(--grey); min-width: 1px; }
.share .kept { background: var(--pos); }
.texts { display: grid; align-items: start; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17.5rem), 1fr)); gap: .75rem; }
.text { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .7rem .9rem .8rem; }
.text.zero { border-style: dashed; }
.text header { display: flex; justify-content: space-between; gap: .6rem; font-size: .8rem; color: var(--soft); margin-bottom: .3rem; }
.text header b { color: var(--ink); font-size: .9rem; } .text p { margin: 0; font-size: .9rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.tokens { margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; }
.tokens span { border-radius: 3px; padding: .12em 0; background: color-mix(in srgb, var(--hue) calc(var(--depth) * var(--wash)), transparent); }
.tokens .up { --hue: var(--pos); } .tokens .down { --hue: var(--neg); } .tokens .frame { color: var(--faint); }
bdi.opening { color: var(--soft); font-style: italic; }
mark { background: none; color: inherit; font-weight: 640; text-decoration: underline 2px; text-underline-offset: 2px; }
mark.pos { text-decoration-color: var(--pos); } mark.neg { text-decoration-color: var(--neg); text-decoration-style: wavy; text-decoration-thickness: 1.5px; }
details { margin-top: .6rem; } summary { cursor: pointer; color: var(--soft); }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--rule); color: var(--soft); font-size: .84rem; }
@media screen and (max-width: 44rem) {
  main { padding: 1.75rem 1rem 3rem; } h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
  figure { padding: .8rem .75rem .75rem; } figure:has(> table) { overflow-x: auto; }
  .chart { font-size: 21px; overflow: visible; } .pair .chart { font-size: 15px; }
}
@media print {
  :root { --paper: #fff; --card: #fff; }
  html { font-size: 11px; } body { font-size: 1rem; } main { max-width: none; padding: 0; } figure, .text, .finding, .tile { break-inside: avoid; }
  h2, h3, .lead { break-after: avoid; } .heat td, .chart, .share span, .swatch, mark { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details > * { display: block; } details::details-content { content-visibility: visible; }
}
`;
