/** The mesh as SVG. States differ by colour and by line, so that nobody needs to tell colours apart. Pure. */

import { STATES } from '../mesh/state.ts';
import { SIZE } from './layout.ts';
import { escaped, millis } from './text.ts';
import type { LinkView, NodeView, View } from './types.ts';

/** More nodes than this, and names would lie on each other: only the chosen node and those in trouble keep theirs. */
const NAMED = 40;

const linkLine = (link: LinkView, at: ReadonlyMap<string, NodeView>, chosen: string | undefined): string => {
  const [a, b] = [at.get(link.a) as NodeView, at.get(link.b) as NodeView];
  const near = chosen === link.a || chosen === link.b ? ' near' : '';
  const title = `${link.a} – ${link.b}: ${link.state}, ${link.path}, ${millis(link.rttMs)}`;
  return `<line class="link ${link.state}${near}" x1="${a.x}" y1="${a.y}" x2="${b.x}" y2="${b.y}"><title>${escaped(title)}</title></line>`;
};

const nodeMark = (node: NodeView, radius: number, named: boolean, chosen: boolean): string => {
  const label = `${node.name}, ${node.location || 'no location'}, ${node.state}`;
  const below = radius + 24;
  const name =
    named || chosen ? `<text x="${node.x}" y="${node.y + below}">${escaped(node.name)}</text>` : '';
  return `<a id="mark-${escaped(node.name)}" href="?node=${encodeURIComponent(node.name)}" aria-label="${escaped(label)}"${chosen ? ' aria-current="true"' : ''}><circle class="node ${node.state}${chosen ? ' chosen' : ''}" cx="${node.x}" cy="${node.y}" r="${radius}"/>${name}</a>`;
};

const placeMark = ({ name, x, y, r }: View['locations'][number]): string =>
  `<circle class="place" cx="${x}" cy="${y}" r="${r}"/><text class="place-name" x="${x}" y="${y - r - 48}">${escaped(name || 'no location')}</text>`;

/** Around what is drawn, with room for names. */
function viewBox({ nodes, locations }: View): string {
  const xs = [...nodes.map(n => n.x), SIZE / 2];
  const ys = [...nodes.map(n => n.y), ...locations.map(l => l.y - l.r), SIZE / 2];
  const [left, top] = [Math.min(...xs) - 120, Math.min(...ys) - 80];
  return `${left} ${top} ${Math.max(...xs) + 120 - left} ${Math.max(...ys) + 60 - top}`;
}

export function picture(view: View, chosen: string | undefined): string {
  const at = new Map(view.nodes.map(n => [n.name, n]));
  // Trouble is drawn last, above the rest.
  const links = view.links
    .toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state))
    .map(link => linkLine(link, at, chosen));
  const radius = view.nodes.length > NAMED ? 9 : 16;
  const few = view.nodes.length <= NAMED;
  const nodes = view.nodes.map(n => nodeMark(n, radius, few || n.state !== 'ready', n.name === chosen));
  const places = view.locations.length > 1 ? view.locations.map(placeMark) : [];
  return `<svg viewBox="${viewBox(view)}" role="group" aria-label="The mesh: nodes and the tunnels between them"${view.links.length > 300 ? ' class="dense"' : ''}>${links.join('')}${places.join('')}${nodes.join('')}</svg>`;
}
