/** What the page loads beside its HTML: text of our own, nothing from elsewhere, so it works offline. */

export const style = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --soft: #59636e; --line: #d0d7de; --panel: #f6f8fa;
  --good: #1a7f37; --wait: #0969da; --warn: #8a5a00; --bad: #c0212b; --none: #6e7781; }
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) { --bg: #0d1117; --fg: #e6edf3; --soft: #9aa4af;
  --line: #3d444d; --panel: #161b22; --good: #3fb950; --wait: #58a6ff; --warn: #d9a12b; --bad: #ff6b62; --none: #8b949e; } }
:root[data-theme=dark] { color-scheme: dark; --bg: #0d1117; --fg: #e6edf3; --soft: #9aa4af; --line: #3d444d;
  --panel: #161b22; --good: #3fb950; --wait: #58a6ff; --warn: #d9a12b; --bad: #ff6b62; --none: #8b949e; }
:root[data-theme=light] { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 0 1rem 3rem; background: var(--bg); color: var(--fg);
  font: 1rem/1.5 system-ui, sans-serif; }
header { display: flex; justify-content: space-between; align-items: center; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
a { color: inherit; } button { font: inherit; padding: .2rem .8rem; }
:focus-visible { outline: 3px solid var(--wait); outline-offset: 2px; }
#summary { font-weight: 600; margin: .5rem 0; } #summary.good { color: var(--good); } #summary.bad { color: var(--bad); }
ul { padding: 0; list-style: none; margin: .5rem 0; }
.counts, .legend { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
.legend svg { width: 2.5rem; height: .5rem; vertical-align: middle; }
.problems li { padding: .35rem .6rem; border-left: 4px solid var(--bad); background: var(--panel); margin-bottom: .3rem;
  overflow-wrap: anywhere; }
.badge { display: inline-block; padding: 0 .5em; border: 1.5px solid currentcolor; border-radius: 1em; font-size: .85rem;
  white-space: nowrap; }
.established, .ready { color: var(--good); } .connecting { color: var(--wait); } .pending { color: var(--warn); }
.retrying, .trouble { color: var(--warn); } .failed { color: var(--bad); } .unknown { color: var(--none); }
.mesh { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; margin: 1rem 0; }
.mesh > svg { display: block; width: 100%; max-height: 70vh; }
.link { stroke: currentcolor; stroke-width: 2; opacity: .55; }
.link.connecting { stroke-dasharray: 2 6; } .link.pending { stroke-dasharray: 10 5; stroke-width: 3; opacity: .9; }
.link.retrying { stroke-dasharray: 14 5 3 5; stroke-width: 3; opacity: .9; }
.link.failed { stroke-dasharray: 4 8; stroke-width: 4; opacity: 1; }
.dense .link.established { stroke-width: 1; opacity: .12; }
.link.near { stroke-width: 4; opacity: 1; }
.node { fill: var(--bg); stroke: currentcolor; stroke-width: 5; } .node.trouble { stroke-dasharray: 8 4; }
.node.unknown { stroke-dasharray: 3 4; } .node.chosen { fill: currentcolor; }
.mesh text { fill: var(--fg); font-size: 20px; text-anchor: middle; paint-order: stroke; stroke: var(--panel); stroke-width: 5px; } .mesh a:focus-visible { outline: none; }
.mesh a:focus-visible .node { stroke: var(--wait); stroke-width: 10; stroke-dasharray: none; }
.place { fill: none; stroke: var(--line); stroke-dasharray: 4 4; } .mesh .place-name { fill: var(--soft); }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; } tbody th { font-weight: 500; }
#stale { position: fixed; bottom: 0; left: 0; right: 0; margin: 0; padding: .6rem 1rem; background: var(--bad); color: var(--bg); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;

/** Renews the page every two seconds, keeps focus and scrolling, and follows links without a new load. */
export const script = `
'use strict';
const live = document.getElementById('live'), stale = document.getElementById('stale'), said = document.getElementById('said');
const places = () => [...live.querySelectorAll('.scroll')].map(e => [e.scrollLeft, e.scrollTop]);
let shown = '', busy = false;

/** A path to the focused element that also leads somewhere in the renewed page. */
const focused = () => {
  const e = document.activeElement;
  if (!live.contains(e)) return undefined;
  if (e.id) return () => document.getElementById(e.id);
  const all = [...live.querySelectorAll('a, [tabindex]')];
  const same = all.filter(o => o.getAttribute('href') === e.getAttribute('href')), n = same.indexOf(e);
  return () => [...live.querySelectorAll('a, [tabindex]')].filter(o => o.getAttribute('href') === e.getAttribute('href'))[n];
};

const renew = html => {
  if (html === shown) return;
  shown = html;
  const find = focused(), scrolled = places(), before = document.getElementById('summary')?.textContent;
  live.innerHTML = html;
  find?.()?.focus({ preventScroll: true });
  live.querySelectorAll('.scroll').forEach((e, n) => e.scrollTo(...(scrolled[n] ?? [0, 0])));
  const after = document.getElementById('summary')?.textContent;
  if (before !== after) said.textContent = after;
};

const look = async () => {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch('content' + location.search, { signal: AbortSignal.timeout(10000) });
    const html = await answer.text();
    if (answer.ok) renew(html);
    if (!answer.ok) stale.textContent = 'This page shows what was known before: ' + html;
    stale.hidden = answer.ok;
  } catch (error) {
    stale.textContent = 'weft dashboard does not answer: this page shows what was known before. Is it still running?';
    stale.hidden = false;
  } finally {
    busy = false;
  }
};

document.addEventListener('click', event => {
  const a = event.target.closest?.('a[href^="?"]');
  if (!a || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, '', a.getAttribute('href'));
  void look();
});
addEventListener('popstate', () => void look());

const theme = document.getElementById('theme'), root = document.documentElement;
const kept = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
if (kept()) root.dataset.theme = kept();
theme.hidden = false;
theme.addEventListener('click', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try { localStorage.setItem('theme', root.dataset.theme); } catch {}
});
setInterval(() => { if (!document.hidden) void look(); }, 2000);
`;
