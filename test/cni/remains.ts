/** All that is on the node for pods, a line each: what a leak would show up in. */
import { existsSync, readdirSync } from 'node:fs';
import { DEL_QUEUE_DIR, LEASE_DIR, ROUTE_PROTOCOL } from '../../constants.ts';
import { here } from '../lab/namespace.ts';
import { until } from '../lab/wait.ts';
import { json } from './bed.ts';

type Ip = Readonly<Record<string, string>>[];

const files = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir).map(f => `${dir}/${f}`) : []);

const ours = (list: Ip, field: string, what: string, value: string): string[] =>
  list
    .filter(one => one[field]?.startsWith('wv'))
    .map(one => `${what} ${one[field]} ${one[value] ?? ''}`.trim());

/** A listing of the table without what the kernel wrote down about strangers, which is forgotten by itself. */
export const withoutStrangers = (listing: string): string =>
  listing.replace(/\tset strangers \{.*?\n\t\}/s, '');

async function elements(): Promise<string[]> {
  const text = withoutStrangers(await here(['sh', '-c', 'nft list table bridge weft 2>/dev/null; true']));
  return [...text.matchAll(/"(wv[^"*]+)" \. [0-9a-f:]+(?: \. ([0-9a-f.:]+))?/g)].map(([, link, ip]) =>
    `element ${link} ${ip ?? ''}`.trim(),
  );
}

export async function remains(): Promise<string[]> {
  const protocol = String(ROUTE_PROTOCOL);
  const [links, v4, v6, neighbours, sets] = await Promise.all([
    json<Ip>(['ip', '-j', 'link']),
    json<Ip>(['ip', '-j', 'route', 'show', 'proto', protocol]),
    json<Ip>(['ip', '-j', '-6', 'route', 'show', 'proto', protocol]),
    json<Ip>(['ip', '-j', 'neigh', 'show', 'nud', 'permanent']),
    elements(),
  ]);
  return [
    ...ours(links, 'ifname', 'link', ''),
    ...ours([...v4, ...v6], 'dev', 'route', 'dst'),
    ...ours(neighbours, 'dev', 'neighbour', 'dst'),
    ...sets,
    ...files(LEASE_DIR),
    ...files(DEL_QUEUE_DIR),
  ].sort();
}

/** The removal of a link follows DEL's answer; rejects with what is still there. */
export async function untilNothingRemains(withinMs = 3_000): Promise<void> {
  let last: string[] = [];
  await until(
    'nothing to remain',
    async () => {
      last = await remains();
      return last.length === 0 || undefined;
    },
    withinMs,
    20,
  ).catch(error => {
    throw new Error(`${error.message}: ${last.join(', ')}`);
  });
}
