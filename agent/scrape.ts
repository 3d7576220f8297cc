/** `GET /metrics`. Scrapes at the same time share one answer: each costs two programs. */
import type { Config } from '../config.ts';
import { NFT_TABLE } from '../constants.ts';
import { openProcessFacts } from '../metrics/facts.ts';
import { CONTENT_TYPE, type Metrics } from '../metrics/registry.ts';
import { samplesOf } from '../metrics/samples.ts';
import type { Kernel } from '../platform/linux/types.ts';
import type { Answer } from './http.ts';
import type { StatusReport } from './report.ts';

type Deps = {
  readonly metrics: Metrics;
  readonly config: Config;
  readonly kernel: Kernel;
  readonly status: () => Promise<StatusReport>;
  /** Milliseconds that the pass under way has been running. */
  readonly stuckFor: () => number;
};

export type Scraper = { readonly scrape: () => Promise<Answer>; readonly close: () => void };

export function openScraper({ metrics, config, kernel, status, stuckFor }: Deps): Scraper {
  const facts = openProcessFacts(stuckFor);
  let running: Promise<Answer> | undefined;
  const once = async (): Promise<Answer> => {
    const [report, dropped] = await Promise.all([
      status(),
      kernel.nft.counters('inet', NFT_TABLE).catch(() => undefined),
    ]);
    const samples = samplesOf({
      status: report,
      process: facts.read(),
      dropped,
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
