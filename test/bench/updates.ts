/** How soon a change in the API server's store is in the kernel, as the kernel itself tells. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NAMESPACES, NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import type { Lab, Member } from '../lab/lab.ts';
import { median } from './stats.ts';

export type Update = {
  readonly what: string;
  readonly times: number;
  /** Milliseconds from the API server's store to the kernel. */
  readonly median: number;
  readonly worst: number;
};

type News = { readonly next: () => Promise<number>; readonly end: () => void };

/** The kernel's own news of our table, as the agent gets them. */
async function listen(node: Member): Promise<News> {
  const monitor = node.namespace.start([`${node.binDir}/weft-cni`, 'monitor', 'p'], { stdio: 'pipe' });
  let heard = (_at: number): void => {};
  const next = (): Promise<number> => new Promise(resolve => (heard = resolve));
  const listening = next();
  monitor.stdout?.on('data', () => heard(performance.now()));
  await listening;
  return { next, end: () => void monitor.kill('SIGKILL') };
}

/** Of a change that never comes to the kernel. */
const TOO_LONG_MS = 3_000;

/** Milliseconds until the kernel tells of a change in our table. */
async function timed(news: News, change: () => void): Promise<number> {
  // The agent looks its last change over.
  await sleep(1_500);
  const done = news.next();
  const begin = performance.now();
  change();
  return (await Promise.race([done, sleep(TOO_LONG_MS).then(() => Number.POSITIVE_INFINITY)])) - begin;
}

export async function updates(
  store: Lab['api']['store'],
  node: Member,
  times: number,
): Promise<readonly Update[]> {
  const changes: readonly (readonly [string, (n: number) => void])[] = [
    [
      'a pod’s label',
      n => void store.patch(PODS, 'ns0', 'pod50', { metadata: { labels: { app: `app${n % 2}` } } }, 'main'),
    ],
    [
      'a policy',
      n =>
        n % 2 === 0
          ? void store.create(NETWORKPOLICIES, 'ns0', {
              metadata: { name: 'more' },
              spec: { podSelector: {}, ingress: [{ ports: [{ port: 9 }] }] },
            })
          : void store.remove(NETWORKPOLICIES, 'ns0', 'more'),
    ],
    [
      'a namespace’s label',
      n =>
        void store.patch(
          NAMESPACES,
          undefined,
          'ns7',
          { metadata: { labels: { team: n % 2 ? '7' : 'none' } } },
          'main',
        ),
    ],
  ];
  const all: Update[] = [];
  const news = await listen(node);
  for (const [what, change] of changes) {
    const ms: number[] = [];
    for (let n = 0; n < times; n += 1) ms.push(await timed(news, () => change(n)));
    all.push({ what, times, median: median(ms), worst: Math.max(...ms) });
  }
  news.end();
  return all;
}

export const printUpdate = (u: Update): string =>
  `${u.what}, from the API server to the kernel: median ${u.median.toFixed(1)} ms, worst ${u.worst.toFixed(1)} of ${u.times}`;
