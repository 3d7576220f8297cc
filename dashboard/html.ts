/** The page. Works without scripts by its links; with them it stays live. Pure. */

import { STATES } from '../mesh/state.ts';
import { picture } from './picture.ts';
import { age, bytes, escaped, millis, plural } from './text.ts';
import type { NodeView, Problem, ReportedPeer, View } from './types.ts';

/** Problems that the page lists; the rest is counted. */
const LISTED = 50;

const link = (node: string): string => `<a href="?node=${encodeURIComponent(node)}">${escaped(node)}</a>`;

const badge = (state: string): string => `<span class="badge ${state}">${state}</span>`;

function summary({ nodes, links, states, problems }: View): string {
  const unknown = nodes.filter(n => n.state === 'unknown');
  const silent = unknown.filter(n => n.reasons.length > 0).length;
  const unasked = unknown.length - silent;
  const good = problems.length === 0 && silent === 0 && nodes.every(n => n.state !== 'trouble');
  const words = good
    ? `All well: every ${unasked > 0 ? 'known ' : ''}tunnel between the nodes is established.`
    : [
        states.established < links.length
          ? `${plural(links.length - states.established, 'tunnel')} not established.`
          : 'Every known tunnel is established.',
        ...(silent > 0 ? [`${plural(silent, 'agent')} gave no answer.`] : []),
      ].join(' ');
  const counts = STATES.filter(s => states[s] > 0).map(s => `<li>${badge(s)} ${states[s]}</li>`);
  return `<p id="summary" class="${good ? 'good' : 'bad'}">${plural(nodes.length, 'node')}, ${plural(links.length, 'tunnel')}. ${words}${unasked > 0 ? ` ${plural(unasked, 'other agent')} cannot be asked from here.` : ''}</p><ul class="counts">${counts.join('')}</ul>`;
}

const problemItem = ({ from, to, state, reason }: Problem): string =>
  `<li>${badge(state)} ${link(from)} → ${link(to)}: ${escaped(reason)}</li>`;

function problems(view: View): string {
  const troubled = view.nodes.filter(n => n.reasons.length > 0);
  if (troubled.length === 0 && view.problems.length === 0) return '';
  const items = [
    ...troubled.flatMap(n => n.reasons.map(r => `<li>${badge(n.state)} ${link(n.name)}: ${escaped(r)}</li>`)),
    ...view.problems.map(problemItem),
  ];
  const more = items.length > LISTED ? `<li>and ${items.length - LISTED} more</li>` : '';
  return `<section aria-labelledby="h-problems"><h2 id="h-problems">What is wrong</h2><ul class="problems">${items.slice(0, LISTED).join('')}${more}</ul></section>`;
}

const table = (id: string, caption: string, head: readonly string[], rows: readonly string[]): string =>
  `<section class="scroll" tabindex="0" role="region" aria-labelledby="${id}"><table><caption id="${id}">${escaped(caption)}</caption><thead><tr>${head.map(h => `<th scope="col">${h}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></section>`;

const row = (cells: readonly string[]): string =>
  `<tr><th scope="row">${cells[0]}</th>${cells
    .slice(1)
    .map(c => `<td>${c}</td>`)
    .join('')}</tr>`;

const nodeRow = (n: NodeView): string =>
  row([
    link(n.name),
    badge(n.state),
    escaped(n.location || '–'),
    n.peers.length === 0
      ? '–'
      : `${n.peers.filter(p => p.state === 'established').length} of ${n.peers.length}`,
    String(n.pods ?? '–'),
    escaped(n.podCidrs.join(', ') || '–'),
    escaped(n.engine ?? '–'),
    String(n.mtu ?? '–'),
    escaped(n.version ?? '–'),
  ]);

const peerRow = (p: ReportedPeer): string =>
  row([
    link(p.node),
    badge(p.state),
    escaped(p.endpoint ?? '–'),
    escaped(p.path),
    millis(p.rttMs),
    p.loss === undefined ? '–' : `${Math.round(p.loss * 100)} %`,
    age(p.handshakeAgeMs),
    age(p.answeredAgeMs),
    bytes(p.rxBytes),
    bytes(p.txBytes),
    String(p.mtu ?? '–'),
    escaped(p.reason ?? ''),
  ]);

const PEER_HEAD = [
  'peer',
  'state',
  'endpoint',
  'path',
  'round trip',
  'loss',
  'handshake',
  'answered',
  'received',
  'sent',
  'path MTU',
  'reason',
];

const NODE_HEAD = [
  'node',
  'state',
  'location',
  'peers up',
  'pods',
  'pod networks',
  'engine',
  'MTU',
  'version',
];

function details(node: NodeView): string {
  const reasons = node.reasons.map(r => `<li>${escaped(r)}</li>`).join('');
  const peers =
    node.peers.length > 0
      ? table('t-peers', `Peers as ${node.name} sees them`, PEER_HEAD, node.peers.map(peerRow))
      : '<p>It names no peers.</p>';
  return `<section aria-labelledby="h-node"><h2 id="h-node">${escaped(node.name)} ${badge(node.state)}</h2><p><a href="?">Show all nodes</a></p>${reasons === '' ? '' : `<ul class="problems">${reasons}</ul>`}${peers}</section>`;
}

const legend = `<ul class="legend" aria-label="Lines of the picture">${STATES.map(
  s =>
    `<li><svg viewBox="0 0 40 8" aria-hidden="true"><line class="link near ${s}" x1="0" y1="4" x2="40" y2="4"/></svg> ${s}</li>`,
).join('')}</ul>`;

/** All that changes while the page is open. `chosen`: a node's name, where one is. */
export function content(view: View, chosen: string | undefined): string {
  const node = view.nodes.find(n => n.name === chosen);
  const list =
    view.nodes.length === 0
      ? '<p>No agent was found. Is weft installed, and may you see its pods?</p>'
      : table('t-nodes', 'Nodes', NODE_HEAD, view.nodes.map(nodeRow));
  return [
    summary(view),
    problems(view),
    `<div class="mesh">${picture(view, node?.name)}${legend}</div>`,
    node === undefined ? '' : details(node),
    list,
  ].join('\n');
}

export const page = (view: View, chosen: string | undefined): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>weft: the mesh</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<script src="live.js" defer></script>
</head>
<body>
<header><h1>weft</h1><button id="theme" type="button" hidden>Dark or light</button></header>
<main id="live">
${content(view, chosen)}
</main>
<p id="stale" role="status" hidden></p>
<p id="said" role="status" class="unseen"></p>
</body>
</html>
`;
