/** `GET /metrics`. Scrapes at the same time share one answer: each costs two programs. */
import type { Config } from '../config.ts';
import { NFT_TABLE, POLICY_TABLE } from '../constants.ts';
import { openProcessFacts } from '../metrics/facts.ts';
import { CONTENT_TYPE, type Metrics } from '../metrics/registry.ts';
import { samplesOf } from '../metrics/samples.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { droppedSet } from '../policy/render.ts';
import { FAMILIES } from '../policy/table.ts';
import type { Direction } from '../policy/types.ts';
import type { Answer } from './http.ts';
import type { StatusReport } from './report.ts';

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

type Deps = {
  readonly metrics: Metrics;
  readonly config: Config;
  readonly kernel: Kernel;
  readonly status: () => Promise<StatusReport>;
  /** Milliseconds that the pass under way has been running. */
  readonly stuckFor: () => number;
};

export type Scraper = { readonly scrape: () => Promise<Answer>; readonly close: () => void };

/** By direction, both families together. */
async function deniedBy(kernel: Kernel): Promise<Readonly<Record<string, number>> | undefined> {
  const names = DIRECTIONS.flatMap(direction => FAMILIES.map(family => droppedSet(direction, family)));
  const packets = await kernel.nft.tallies('inet', POLICY_TABLE, names);
  const sum = (direction: Direction): number =>
    FAMILIES.reduce((total, family) => total + (packets?.[droppedSet(direction, family)] ?? 0), 0);
  return packets && Object.fromEntries(DIRECTIONS.map(direction => [direction, sum(direction)]));
}

export function openScraper({ metrics, config, kernel, status, stuckFor }: Deps): Scraper {
  const facts = openProcessFacts(stuckFor);
  let running: Promise<Answer> | undefined;
  const once = async (): Promise<Answer> => {
    const [report, dropped, denied] = await Promise.all([
      status(),
      kernel.nft.counters('inet', NFT_TABLE).catch(() => undefined),
      deniedBy(kernel).catch(() => undefined),
    ]);
    const samples = samplesOf({
      status: report,
      process: facts.read(),
      dropped,
      denied,
      peerMetrics: config.peerMetrics,
    });
    return { status: 200, type: CONTENT_TYPE, body: await metrics.text(samples) };
  };
  const scrape = (): Promise<Answer> => {
    running ??= once().finally(() => {
      running = undefined;
    });
    return running;
  };
  return { scrape, close: facts.close };
}
